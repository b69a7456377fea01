"""What is done once somebody looks at the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.serving import get, running_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_an_open_page_warms_the_app_up_once(browser: Browser, tmp_path: Path) -> None:
    with running_app(tmp_path / "log.txt") as app:
        get(app.url)  # as a Space's own checks do, which are nobody
        for _ in range(2):
            page = browser.new_page()
            page.goto(app.url)
            page.wait_for_selector("#compare-button")
            app.wait_for_log("Warmed up in", seconds=60)
            page.close()
        assert app.log.count("Warm") == 1

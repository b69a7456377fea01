"""What is done once somebody looks at the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.helpers.serving import RunningApp

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_an_open_page_warms_the_app_up_once(browser: Browser, app: RunningApp) -> None:
    for _ in range(2):
        page = browser.new_page()
        page.goto(app.url)
        page.wait_for_selector("#compare-button")
        app.wait_for_log("Warmed up in", seconds=60)
        page.close()
    assert app.log.count("Warmed up in") == 1 and "The warm-up failed" not in app.log

"""The page on somebody else's Space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.helpers.serving import RunningApp, running_app


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("space") / "log.txt", SPACE_ID="someone/ddpo-studio") as serving:
        yield serving


@pytest.mark.parametrize(("name", "width", "theme"), [("wide", 1440, "light"), ("phone", 390, "dark")])
def test_a_visitor_is_told_how_to_have_a_space_of_their_own(
    browser: Browser, space: RunningApp, shots: Path, name: str, width: int, theme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844})
    try:
        page.goto(f"{space.url}/?__theme={theme}")
        link = page.locator("#duplicate a")
        link.wait_for()
        expect(link).to_have_attribute("href", "https://huggingface.co/spaces/someone/ddpo-studio?duplicate=true")
        box = page.locator("#duplicate .duplicate").bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
        page.wait_for_selector("#compare-button")
        page.screenshot(path=shots / f"space-{name}-{theme}.png")
    finally:
        page.close()

"""The page below a path of a reverse proxy."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.helpers.browsing import DRAWN, SLOW, set_number, settled
from tests.helpers.proxying import proxied
from tests.helpers.serving import running_app


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("proxied") / "log.txt"
    with running_app(log, GRADIO_ROOT_PATH="/studio") as app, proxied(app.url, "/studio") as found:
        yield found


def test_everything_of_the_page_is_had_from_below_that_path(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    strays: list[str] = []
    page.on(
        "request",
        lambda asked: (
            strays.append(asked.url)
            if asked.url.startswith("http") and not asked.url.startswith(address) and "manifest.json" not in asked.url
            else None
        ),
    )
    page.goto(f"{address}?seed=5&steps=2&samples=2")
    page.wait_for_selector("#compare-button")
    settled(page)
    expect(page.locator("#seed input").first).to_have_value("5")
    set_number(page, "#seed", 6)
    page.click("#compare-button")
    page.wait_for_selector(DRAWN, timeout=SLOW)
    page.wait_for_function("location.search.includes('seed=6')")
    assert urlsplit(page.url).path == "/studio/"
    expect(page.locator(".pic")).to_have_count(4)
    with page.expect_download() as started:
        page.click("#download-csv")
    assert started.value.path().stat().st_size > 50
    page.get_by_role("tab", name="Train").click()
    page.wait_for_selector("#start-button")
    page.close()
    assert not strays


def test_what_a_link_shows_elsewhere_is_had_from_there_too(address: str) -> None:
    page = httpx.get(address).text
    assert f'property="og:url" content="{address}"' in page
    assert httpx.get(f"{address}preview.png").headers["content-type"] == "image/png"
    assert httpx.get(f"{address}favicon.ico").status_code == 200

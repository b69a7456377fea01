"""A closer look at a comparison, and many pictures at once, as a visitor sees them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ddpo.comparison import saved
from ddpo.comparison.files import png_bytes
from tests.helpers.browsing import PHONE, WIDE, overflow, without_errors
from tests.helpers.serving import RunningApp


@pytest.fixture
def page(browser: Browser, app: RunningApp) -> Iterator[Page]:
    with without_errors(browser) as opened:
        page = opened(f"{app.url}/?__theme=light")
        page.wait_for_selector("#compare-button")
        yield page


def looked_at(page: Page, shots: Path, name: str) -> None:
    for width, height in (WIDE, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        assert overflow(page) <= 0, width
        page.screenshot(path=shots / f"{name}-{width}.png", full_page=True)


def test_a_closer_look_at_the_saved_comparison(page: Page, shots: Path) -> None:
    page.get_by_role("button", name="Look closer").click()
    page.click("#why-button")
    page.wait_for_selector("#closer-why table", timeout=60_000)
    assert "of the photographic score" in page.inner_text("#closer-why").lower()
    page.click("#rescore-button")
    page.wait_for_function(
        "document.querySelector('#closer-scorers')?.innerText.includes('colourfulness')", timeout=60_000
    )
    page.wait_for_function("!document.querySelector('#closer-cancel')?.offsetParent", timeout=60_000)
    page.click("#together-button")
    page.wait_for_selector("#closer-along .film img:not([hidden])", timeout=60_000)
    slider = page.locator("#closer-along input[type=range]")
    slider.press("Home")
    expect(page.locator("#closer-along output").first).to_contain_text(
        re.compile("step [23] of 50"), use_inner_text=True
    )
    expect(page.locator("#closer-along .film img:visible")).to_have_count(1)
    with page.expect_download() as download:
        page.click("#closer-webp")
    assert download.value.suggested_filename.endswith(".webp")
    looked_at(page, shots, "closer")


def test_many_pictures_are_scored_sorted_and_give_their_settings(page: Page, shots: Path, tmp_path: Path) -> None:
    result, buffer = saved.bundled(), io.BytesIO()
    assert result is not None
    with zipfile.ZipFile(buffer, "w") as archive:
        for place in range(5):
            archive.writestr(f"{place}.png", png_bytes(result.base_images[place], result, "base", place))
        archive.writestr("broken.png", b"nothing")
    (tmp_path / "pictures.zip").write_bytes(buffer.getvalue())
    page.get_by_role("tab", name="Score a picture").click()
    page.get_by_role("button", name="Many pictures, or a zip").click()
    page.set_input_files("#explorer-upload input[type=file]", tmp_path / "pictures.zip")
    page.wait_for_function("document.querySelector('#explorer-upload').innerText.includes('pictures')", timeout=60_000)
    page.click("#explorer-button")
    page.wait_for_selector("#explorer-csv", timeout=60_000)
    expect(page.locator("#explorer-status")).to_contain_text("5 scored, 1 skipped", use_inner_text=True)
    page.get_by_role("button", name="Photographic quality").click()
    values = page.eval_on_selector_all(
        "#explorer-table tbody tr", "(rows) => rows.map((row) => Number(row.cells[3].dataset.value))"
    )
    assert values == sorted(values, reverse=True) and len(values) == 5
    looked_at(page, shots, "explorer")
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    page.locator("#explorer-table summary").first.click()
    page.locator("a.use-settings").first.click()
    page.wait_for_function("document.querySelector('[role=tab][aria-selected=true]').dataset.tabId === 'compare'")
    page.wait_for_function("['pair=church-64', 'seed=0'].every((part) => location.search.includes(part))")


DROP = """([bytes, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'}));
  document.querySelector('#settings').dispatchEvent(
    new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def test_a_picture_of_this_app_that_is_dropped_on_compare_fills_its_fields(page: Page) -> None:
    result = saved.bundled()
    assert result is not None
    asked = replace(result, comparison=replace(result.comparison, steps=17, seed=123))
    page.evaluate(DROP, [[*png_bytes(result.base_images[0], asked, "base", 0)], "drawn.png"])
    page.wait_for_function("document.querySelector('#steps input[type=number]').value === '17'", timeout=60_000)
    page.wait_for_function("document.querySelector('#seed input').value === '123'", timeout=60_000)
    buffer = io.BytesIO()
    result.base_images[0].save(buffer, "PNG")
    for content in (buffer.getvalue(), b"nothing", buffer.getvalue()[:50]):
        page.evaluate(DROP, [[*content], "other.png"])
    page.wait_for_timeout(300)
    page.wait_for_function("location.search.includes('seed=123')")

"""What the page shows before anybody has pressed anything, and the larger view of a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from ddpo.comparison import saved
from tests.helpers.browsing import (
    DRAWN,
    PHONE,
    SLOW,
    WIDE,
    close_larger,
    overflow,
    set_number,
    settled,
    without_errors,
)
from tests.helpers.serving import RunningApp

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, app: RunningApp) -> Iterator[Open]:
    with without_errors(browser) as opened:

        def open_(query: str = "", size: tuple[int, int] = WIDE) -> Page:
            page = opened(f"{app.url}/?{query}", size)
            page.wait_for_selector("#compare-button")
            return page

        yield open_


def top(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return box["y"]


def test_the_page_opens_on_a_saved_comparison_which_compare_replaces(open_page: Open, app: RunningApp) -> None:
    mark = len(app.log)
    page, kept = open_page(), saved.bundled()
    assert kept is not None
    expect(page.locator(".summary .saved").first).to_contain_text("Saved comparison", use_inner_text=True)
    expect(page.locator(".saved").first).to_contain_text(saved.COMMAND, use_inner_text=True)
    expect(page.locator(".sentence").first).to_have_text(kept.sentence, use_inner_text=True)
    page.wait_for_function("[...document.querySelectorAll('#pictures img')].every((i) => i.naturalWidth === 64)")
    expect(page.locator(".panel.base .pic")).to_have_count(8)
    expect(page.locator(".panel.finetuned .pic")).to_have_count(8)
    page.wait_for_function("document.querySelectorAll('#before-after-slider img[src]').length >= 2")
    page.click(".panel.base .pic[data-index='2']")
    page.wait_for_function("document.querySelector('.chosen-line h3').innerText.startsWith('Seed 2,')")
    close_larger(page)
    with page.expect_download() as started:
        page.click("#download-zip")
    assert started.value.suggested_filename == "church-64-ddim-50-seed-0.zip"
    assert "Comparison started" not in app.log[mark:]  # no model was asked

    set_number(page, "#steps", 3)
    page.click("#compare-button")
    page.wait_for_selector(".progress")
    expect(page.locator("#pictures .done")).to_have_count(0)
    expect(page.locator("#before-after-slider")).to_be_hidden()
    page.wait_for_selector(DRAWN, timeout=SLOW)
    expect(page.locator(".saved")).to_have_count(0)
    expect(page.locator(".summary .how").first).to_contain_text("3 steps", use_inner_text=True)


def test_the_page_is_light_and_asks_nobody_else(browser: Browser, app: RunningApp) -> None:
    page, weight = browser.new_page(viewport={"width": WIDE[0], "height": WIDE[1]}), 0
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))

    def count(event: dict[str, Any]) -> None:
        nonlocal weight
        weight += event["encodedDataLength"]

    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", count)
    page.goto(app.url)
    page.wait_for_function("[...document.querySelectorAll('#pictures img')].every((i) => i.naturalWidth === 64)")
    settled(page)
    page.wait_for_timeout(1000)
    page.close()
    assert asked - {""} == {urlsplit(app.url).netloc}  # data: has none
    assert 100_000 < weight < 1_000_000


def test_the_longest_seeds_keep_apart_from_their_scores(open_page: Open) -> None:
    page = open_page("pair=church-64&scheduler=ddim&steps=1&samples=8&seed=4294967288&scorer=photographic", (1024, 768))
    settled(page)
    page.click("#compare-button")
    page.wait_for_selector(DRAWN, timeout=SLOW)
    wrong = page.evaluate(
        "[...document.querySelectorAll('.pic figcaption')].filter((caption) => { const [seed, score] ="
        " [...caption.children].map((part) => part.getBoundingClientRect()), box = caption.getBoundingClientRect();"
        " const apart = seed.right <= score.left + 0.5 || seed.bottom <= score.top + 0.5;"
        " return !apart || seed.right > box.right + 0.5 || score.right > box.right + 0.5; }).length"
    )
    expect(page.locator(".pic")).to_have_count(16)
    assert wrong == 0


def test_beside_the_slider_nothing_is_empty(open_page: Open) -> None:
    page = open_page()
    for width, longer in ((1024, 230), (1440, 180)):
        page.set_viewport_size({"width": width, "height": 900})
        ends = "['.before-after', '#download-csv'].map((e) => document.querySelector(e).getBoundingClientRect().bottom)"
        slider, text = page.evaluate(ends)
        assert -180 < text - slider < longer, width
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert page.evaluate("document.querySelector('.before-after').clientWidth") > 280


def test_on_a_phone_pictures_come_before_figures_and_fields(open_page: Open) -> None:
    page = open_page(size=PHONE)
    assert top(page, "#pictures img") < PHONE[1] - 120  # the first pictures are on the screen at once
    assert top(page, "#pictures") < top(page, "#before-after") < top(page, "#figures") < top(page, "#settings")
    assert overflow(page) <= 0


def test_a_press_enlarges_a_seed_of_both_and_arrow_keys_go_on(open_page: Open) -> None:
    page = open_page()
    page.click(".panel.finetuned .pic[data-index='7']")
    larger = page.locator("#larger[open]")
    expect(larger.locator("img")).to_have_count(2)
    sides = page.evaluate("[...document.querySelectorAll('#larger img')].map((i) => i.clientWidth)")
    assert min(sides) > 450 and page.evaluate("document.querySelector('#larger').clientHeight") <= WIDE[1]
    expect(larger.locator("h2")).to_have_text("Seed 7, 8 of 8", use_inner_text=True)
    expect(larger.locator("figure").nth(1)).to_contain_text("Finetuned", use_inner_text=True)
    page.keyboard.press("ArrowRight")
    expect(larger.locator("h2")).to_have_text("Seed 0, 1 of 8", use_inner_text=True)
    page.keyboard.press("ArrowRight")
    expect(larger.locator("h2")).to_have_text("Seed 1, 2 of 8", use_inner_text=True)
    close_larger(page)
    page.wait_for_function("document.querySelector('.chosen-line h3').innerText.startsWith('Seed 1,')")
    page.wait_for_function("document.activeElement.dataset.index === '1'")


def test_pictures_are_enlarged_by_whole_factors_where_that_is_asked_for(open_page: Open) -> None:
    page = open_page()
    page.check(".tools input")
    widths = page.evaluate("[...document.querySelectorAll('#pictures img')].map((i) => i.clientWidth)")
    assert all(width % 64 == 0 and width > 0 for width in widths)
    page.reload()
    page.wait_for_selector(".tools input:checked")
    page.uncheck(".tools input")
    assert page.evaluate("document.querySelector('#pictures img').clientWidth") % 64 != 0

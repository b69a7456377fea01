"""The Evaluate tab as a visitor sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.helpers.browsing import PHONE, SLOW, WIDE, overflow, set_number, without_errors
from tests.helpers.serving import RunningApp

MIDDLE = (1024, 768)


@pytest.fixture
def page(browser: Browser, app: RunningApp) -> Iterator[Page]:
    """The tab with a small evaluation asked for."""
    with without_errors(browser) as opened:
        page = opened(f"{app.url}/?__theme=light&tab=evaluate")
        page.wait_for_selector("#evaluate-button")
        set_number(page, "#evaluate-seeds", 5)
        set_steps(page, "2, 3")
        yield page


def set_steps(page: Page, steps: str) -> None:
    field = page.locator("#evaluate-steps input, #evaluate-steps textarea")
    field.fill(steps)
    field.press("Tab")


def cost_says(page: Page, words: str) -> None:
    page.wait_for_function(
        "(words) => document.querySelector('#evaluate-cost').innerText.includes(words)", arg=words, timeout=SLOW
    )


def test_an_evaluation_from_its_cost_to_its_report(page: Page, shots: Path, tmp_path: Path) -> None:
    expect(page.locator("#evaluate-status")).to_contain_text("Press Evaluate", use_inner_text=True)
    expect(page.locator("#evaluate-zip")).to_be_hidden()
    cost_says(page, "8 cells of 5 seeds: 100 evaluations of networks, about 1 s to draw")
    expect(page.locator("#evaluate-power")).to_have_text(
        re.compile("^5 seeds find a mean gain of"), use_inner_text=True
    )
    set_steps(page, "2, many")
    cost_says(page, "must be whole numbers")
    page.click("#evaluate-button")
    page.wait_for_function("document.querySelector('#evaluate-notice').innerText.includes('must be whole numbers')")
    set_steps(page, "2, 3")
    page.click("#evaluate-button")
    page.wait_for_selector("#evaluate-figures svg", timeout=SLOW)
    page.wait_for_selector("#one-seed img", timeout=SLOW)
    expect(page.locator("#evaluate-button")).to_be_enabled()
    expect(page.locator("#evaluate-cancel")).to_be_hidden()
    verdict = page.inner_text("#verdicts .sentence")
    assert "photographic" in verdict and "of 5 wins" in verdict
    expect(page.locator("#verdicts .all-verdicts li")).to_have_count(4)
    labels = page.locator("#evaluate-figures svg").evaluate_all("(all) => all.map((svg) => svg.ariaLabel)")
    assert [label.split(",")[0].split(" of ")[0] for label in labels] == [
        "Mean photographic against seconds a picture", "Distributions", "Gain by seed",
    ]  # fmt: skip
    expect(page.locator("#one-seed tbody tr")).to_have_count(4)
    expect(page.locator("#one-seed img")).to_have_count(8)
    worst = page.locator("#by-gain section").nth(2).locator(".pic").last
    seed = worst.inner_text().split()[1]
    assert f"Seed {seed}," not in page.inner_text("#one-seed h2")  # it begins with the middle, never with the best
    worst.press("Enter")
    page.wait_for_function(f"document.querySelector('#one-seed h2').innerText.startsWith('Seed {seed},')")
    with page.expect_download() as download:
        page.click("#evaluate-report")
    report = unescape(download.value.path().read_text(encoding="utf-8"))
    assert report.startswith("<!doctype html>") and download.value.suggested_filename.endswith(".html")
    assert verdict in report
    expect(page.locator("#evaluate-zip")).to_be_visible()
    for width, height in (WIDE, MIDDLE, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(300)
        assert overflow(page) <= 0, width
        page.screenshot(path=shots / f"evaluate-{width}.png", full_page=True)


def test_a_cancelled_evaluation_keeps_what_is_finished_and_goes_on_from_there(page: Page, app: RunningApp) -> None:
    set_steps(page, "4, 1000")
    cost_says(page, "8 cells of 5 seeds")
    mark = len(app.log)
    page.click("#evaluate-button")
    page.wait_for_function("document.querySelector('.progress p')?.innerText.startsWith('4 of 8 cells')", timeout=SLOW)
    page.click("#evaluate-cancel")
    app.wait_for_log("Evaluation cancelled after 4 of 8 cells", mark)
    page.wait_for_function("document.querySelector('#evaluate-notice').innerText.includes('Cancelled')")
    expect(page.locator("#evaluate-button")).to_be_enabled()
    assert page.locator("#evaluate-figures svg").count() > 0  # still shown
    page.click("#evaluate-button")
    page.wait_for_function("document.querySelector('.progress p')?.innerText.startsWith('4 of 8 cells')", timeout=SLOW)
    page.click("#evaluate-cancel")
    app.wait_for_log("(?s)after 4 of 8 cells.*after 4 of 8 cells", mark)

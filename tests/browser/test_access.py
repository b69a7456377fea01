"""The page with a keyboard and a screen reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.helpers.axe import serious
from tests.helpers.browsing import DRAWN, SLOW, TINY, close_larger, set_number, settled, wait_for_state, without_errors
from tests.helpers.run_folders import CHURCH, make_run
from tests.helpers.serving import RunningApp, running_app

Open = Callable[..., Page]
FOCUSED = "document.activeElement?.id"


@pytest.fixture
def open_page(browser: Browser, app: RunningApp) -> Iterator[Open]:
    """Opens an address of an app."""
    with without_errors(browser) as opened:

        def open_(query: str = "", at: RunningApp = app) -> Page:
            page = opened(f"{at.url}/?{query}")
            page.wait_for_selector("#compare-button", state="attached")
            settled(page)
            return page

        yield open_


def said(page: Page, words: str) -> None:
    """Waits until the live region says so."""
    page.wait_for_function("(words) => document.querySelector('#said').textContent.includes(words)", arg=words)


def show(page: Page, tab: str, there: str) -> None:
    page.get_by_role("tab", name=tab).click()
    page.wait_for_selector(there)


def test_axe_finds_nothing_serious_before_anything_is_done(open_page: Open) -> None:
    page = open_page()
    assert serious(page) == []
    page.click(".tour summary")
    assert serious(page) == []
    page.click(".panel.base .pic")
    assert serious(page) == []
    close_larger(page)
    for tab, there in (("Evaluate", "#evaluate-button"), ("Train", "#start-button"), ("Score", "#score-button")):
        show(page, tab, there)
        page.wait_for_timeout(500)
        assert serious(page) == [], tab


def test_axe_finds_nothing_serious_while_a_comparison_runs_and_after(open_page: Open) -> None:
    page = open_page()
    set_number(page, "#steps", 1000)
    page.click("#compare-button")
    page.wait_for_selector(".panels.drawing img", timeout=SLOW)
    assert serious(page) == []
    page.click("#cancel-button")
    page.wait_for_selector("#compare-button:enabled")
    page.wait_for_selector("#notice .card")
    assert serious(page) == []
    set_number(page, "#steps", 2)
    page.click("#compare-button")
    page.wait_for_selector(DRAWN, timeout=SLOW)
    assert serious(page) == []


def test_axe_finds_nothing_serious_in_a_score_and_in_its_refusal(open_page: Open, tmp_path: Path) -> None:
    page = open_page("tab=score")
    page.wait_for_selector("#score-button")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    page.set_input_files("#score-upload input[type=file]", tmp_path / "text.png")
    page.wait_for_function("document.querySelector('#verdict').innerText.includes('could not be scored')")
    expect(page.locator("#score-upload img")).to_have_count(0)  # a broken one
    said(page, "could not be scored")
    assert serious(page) == []
    Image.effect_noise((64, 64), 60).convert("RGB").save(tmp_path / "noise.png")
    page.set_input_files("#score-upload input[type=file]", tmp_path / "noise.png")
    page.wait_for_selector("#score-upload img")
    page.click("#score-button")
    page.wait_for_selector(".score-card", timeout=SLOW)
    assert serious(page) == []
    page.click("#score-scorer input")
    page.get_by_role("option", name="Colourfulness").click()
    page.wait_for_selector(".score-card", state="detached")  # it was of the other scorer


def test_axe_finds_nothing_serious_in_evaluations(open_page: Open) -> None:
    page = open_page("tab=evaluate")
    page.wait_for_selector("#evaluate-button")
    set_number(page, "#evaluate-seeds", 3)
    steps = page.locator("#evaluate-steps input, #evaluate-steps textarea")
    steps.fill("1, many")
    steps.press("Tab")
    page.click("#evaluate-button")
    page.wait_for_selector("#evaluate-notice .card")
    page.wait_for_selector("#evaluate-button:enabled")
    assert serious(page) == []
    steps.fill("2, 40")
    steps.press("Tab")
    page.click("#evaluate-button")
    page.wait_for_selector("#evaluate-status .progress", timeout=SLOW)
    assert serious(page) == []
    page.wait_for_selector("#one-seed img", timeout=SLOW)
    assert serious(page) == []


@pytest.fixture(scope="module")
def runs_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app with a failed run and a finished one."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "runs", "failed", 1, error="The disk is full.")
    make_run(folder / "runs", "finished", 3, epochs=3, result=CHURCH)
    with running_app(folder / "log.txt") as serving:
        yield serving


def test_axe_finds_nothing_serious_in_runs(open_page: Open, runs_app: RunningApp) -> None:
    page = open_page("tab=train", runs_app)
    wait_for_state(page, "finished")
    assert serious(page) == []
    page.locator(".run-row:has(.state.failed)").click()
    wait_for_state(page, "failed")
    assert serious(page) == []
    page.get_by_role("button", name="All settings").click()
    set_number(page, "#setting-epochs", 60)
    for name, value in TINY.items():
        set_number(page, f"#setting-{name}", value)
    assert serious(page) == []
    page.click("#start-button")
    wait_for_state(page, "running")
    page.wait_for_selector(".chart .curve", timeout=SLOW)
    assert serious(page) == []
    said(page, "Training")
    page.click("#stop-button")
    wait_for_state(page, "stopped")


def test_two_keys_lead_to_compare_and_the_focus_is_never_lost(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    page.wait_for_function("getComputedStyle(document.activeElement).opacity === '1'")
    assert "main button" in page.evaluate("document.activeElement.innerText")
    page.keyboard.press("Enter")
    page.wait_for_function(f"{FOCUSED} === 'compare-button'")
    set_number(page, "#steps", 300)
    page.press("#compare-button", "Enter")
    page.wait_for_function(f"{FOCUSED} === 'cancel-button'")
    said(page, "Comparing")
    page.wait_for_selector(".panels.drawing img", timeout=SLOW)
    expect(page.locator("#results [role=status], #results [aria-live]")).to_have_count(
        0
    )  # of progress, nothing is said
    page.keyboard.press("Enter")
    page.wait_for_function(f"{FOCUSED} === 'compare-button'")
    said(page, "Cancelled")
    set_number(page, "#steps", 2)
    page.press("#seed input", "Control+Enter")
    page.wait_for_selector(DRAWN, timeout=SLOW)
    said(page, page.inner_text(".sentence"))


def test_ctrl_and_enter_do_nothing_on_another_tab(open_page: Open, runs_app: RunningApp) -> None:
    page = open_page("tab=train", runs_app)
    page.wait_for_selector(".run-status.stopped, .run-status.finished", timeout=SLOW)
    rows = page.locator(".run-row").count()
    page.press("#setting-epochs input[type=number]", "Control+Enter")
    page.wait_for_timeout(1500)
    expect(page.locator(".run-row")).to_have_count(rows)
    assert "Comparison started" not in runs_app.log
    expect(page.locator(".run-status.starting, .run-status.running")).to_have_count(0)


def test_what_has_the_focus_can_be_seen_and_nothing_unseen_has_it(open_page: Open, runs_app: RunningApp) -> None:
    """Each stop of the keyboard has an outline around it or around the block that it stands in."""
    page = open_page("", runs_app)
    for tab, stops in (("Compare", 45), ("Train", 40)):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(500)
        page.focus(".copy-link")
        for _ in range(stops):
            page.keyboard.press("Tab")
            stop = page.evaluate(
                "(() => { const e = document.activeElement, box = e.getBoundingClientRect();"
                " const ring = (e) => getComputedStyle(e).outlineStyle !== 'none'"
                "  && parseFloat(getComputedStyle(e).outlineWidth) >= 1;"
                " const around = []; for (let p = e; p && around.length < 6; p = p.parentElement) around.push(p);"
                " return {what: e.outerHTML.slice(0, 120), seen: around.some(ring),"
                "  there: box.width > 3 && box.height > 3 && e.checkVisibility({visibilityProperty: true})}; })()"
            )
            if stop["what"].startswith("<body"):  # the last one
                break
            assert stop["seen"] and stop["there"], stop


def test_a_list_that_scrolls_is_no_stop(open_page: Open) -> None:
    page = open_page()
    page.set_viewport_size({"width": 1440, "height": 520})
    page.focus("#pair input")
    page.wait_for_selector("#pair [role=listbox][tabindex='-1']")
    assert (
        page.evaluate(
            "(() => { const l = document.querySelector('#pair .options'), u = l.firstElementChild;"
            " return Math.max(l.scrollHeight - l.clientHeight, u.scrollHeight - u.clientHeight); })()"
        )
        > 0
    )
    page.press("#pair input", "Tab")
    page.wait_for_function("document.activeElement.tagName === 'SUMMARY'")
    page.wait_for_function("!document.querySelector('#pair [role=listbox]')?.offsetHeight")


def test_the_handle_between_before_and_after_moves_by_keys_and_says_where_it_is(open_page: Open) -> None:
    page = open_page()
    page.click(".panel.base .pic[data-index='2']")
    close_larger(page)
    page.wait_for_function("document.querySelector('.chosen-line h3').innerText.startsWith('Seed 2,')")
    handle = page.locator("#before-after-slider input[type=range]")
    for _ in range(3):
        handle.press("ArrowRight")
    expect(handle).to_have_attribute("aria-valuetext", "53% base, 47% finetuned")
    page.wait_for_function("document.querySelector('.before-after').style.getPropertyValue('--at') === '53%'")
    handle.press("Home")
    expect(handle).to_have_attribute("aria-valuetext", "0% base, 100% finetuned")
    names = page.locator("#before-after-slider img").evaluate_all("(all) => all.map((image) => image.alt)")
    assert [name.split(", score")[0] for name in names] == ["Base, seed 2", "Finetuned, seed 2"]
    box = handle.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 20)
    expect(handle).to_have_attribute("aria-valuetext", "80% base, 20% finetuned")


def test_the_tour_is_one_press_away_and_shows_the_apps_own_pictures(open_page: Open, shots: Path) -> None:
    page = open_page()
    expect(page.locator(".tour .card").first).to_be_hidden()
    page.click(".tour summary")
    expect(page.locator(".tour li")).to_have_count(3)
    text = page.inner_text(".tour")
    assert all(word in text for word in ("Noise", "denoising", "Reward", "DDPO"))
    page.wait_for_function("[...document.querySelectorAll('.tour img')].every((i) => i.naturalWidth === 64)")
    assert page.locator(".tour .way img").count() >= 6
    expect(page.locator(".tour svg").first).to_be_visible()
    for theme in ("light", "dark"):
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
        for width in (390, 1024, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
            page.screenshot(path=shots / f"tour-{width}-{theme}.png")

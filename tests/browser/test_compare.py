"""The page as a visitor sees it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.helpers.browsing import DRAWN, without_errors
from tests.helpers.serving import RunningApp

Open = Callable[..., Page]
WIDE, PHONE = (1440, 900), (390, 844)
SLOW = 240_000  # milliseconds; the first comparison imports torch, and the machine may be busy


@pytest.fixture
def open_page(browser: Browser, app: RunningApp) -> Iterator[Open]:
    with without_errors(browser) as opened:

        def open_(size: tuple[int, int] = WIDE, theme: str = "light") -> Page:
            page = opened(f"{app.url}/?__theme={theme}", size)
            page.wait_for_selector("#compare-button")
            return page

        yield open_


def set_number(page: Page, control: str, value: str) -> None:
    field = page.locator(f"{control} input[type=number]")
    field.fill(value)
    field.press("Tab")


def choose_scheduler(page: Page, title: str) -> None:
    page.click("#scheduler input")
    page.get_by_role("option", name=title, exact=True).click()


def choose_pair(page: Page, title: str) -> None:
    page.click("#pair input")
    page.get_by_role("option", name=title, exact=True).click()


def compare(page: Page, steps: int = 4) -> None:
    set_number(page, "#steps", str(steps))
    page.click("#compare-button")
    page.wait_for_selector(DRAWN, timeout=SLOW)


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_first_visitor_sees_what_this_is_and_what_will_come(open_page: Open) -> None:
    page = open_page()
    expect(page.locator(".masthead").first).to_contain_text("reinforcement learning", use_inner_text=True)
    expect(page.locator("#status")).to_contain_text("Press Compare", use_inner_text=True)
    expect(page.locator("#details")).to_be_visible()
    assert page.locator("#compare-button").bounding_box()["y"] + 40 < WIDE[1]  # type: ignore[index]
    expect(page.locator("#cancel-button")).to_be_hidden()
    expect(page.locator("#about-pair")).to_have_text(
        re.compile("^Begins with church\\-64 \\(bundled\\): there is no GPU here"), use_inner_text=True
    )


def test_one_press_compares_with_the_defaults(open_page: Open, shots: Path) -> None:
    page = open_page()
    page.click("#compare-button")
    page.wait_for_selector(".panels.drawing img", timeout=SLOW)
    page.wait_for_function(
        "document.querySelector('.progress p')?.innerText.match(/step \\d+ of 50 .* left/)", timeout=SLOW
    )
    expect(page.locator("#cancel-button")).to_be_visible()
    expect(page.locator("#compare-button")).to_be_disabled()
    page.screenshot(path=shots / "compare-running-wide.png")
    page.wait_for_selector(DRAWN, timeout=SLOW)
    expect(page.locator(".sentence").first).to_contain_text("photographic", use_inner_text=True)
    expect(page.locator(".sentence").first).to_contain_text("seeds", use_inner_text=True)
    for role in ("base", "finetuned"):
        captions = page.locator(f".panel.{role} figcaption").all_inner_texts()
        assert [caption.split()[:2] for caption in captions] == [["seed", str(n)] for n in range(8)]
        assert all(float(caption.split()[2]) >= 1 for caption in captions)
    expect(page.locator(".panel.finetuned em")).to_have_count(8)
    page.wait_for_function("[...document.querySelectorAll('.pic img')].every((i) => i.naturalWidth === 64)")
    expect(page.locator("#cancel-button")).to_be_hidden()
    expect(page.locator("#compare-button")).to_be_enabled()


def test_both_galleries_are_aligned_and_a_press_shows_that_seed(open_page: Open) -> None:
    page = open_page()
    compare(page)
    boxes = [page.locator(f".panel.{role} .pic").nth(3).bounding_box() for role in ("base", "finetuned")]
    assert boxes[0] is not None and boxes[1] is not None and abs(boxes[0]["y"] - boxes[1]["y"]) < 1
    shown = page.inner_text(".chosen-line h3")
    other = "3" if "Seed 3," not in shown else "2"
    before = page.locator("#before-after-slider img").first.get_attribute("src")
    page.locator(f".panel.finetuned .pic[data-index='{other}']").click()
    page.wait_for_function(f"document.querySelector('.chosen-line h3').innerText.startsWith('Seed {other},')")
    expect(page.locator(f".pic.chosen[data-index='{other}']")).to_have_count(2)
    page.wait_for_function(
        "(before) => document.querySelector('#before-after-slider img').getAttribute('src') !== before", arg=before
    )


def test_the_scheduler_sets_its_steps_and_shows_eta_only_where_it_applies(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#eta")).to_be_visible()
    choose_scheduler(page, "DDPM")
    page.wait_for_function("document.querySelector('#steps input[type=number]').value === '1000'")
    page.wait_for_selector("#eta", state="hidden")
    page.wait_for_function("document.querySelector('#about-scheduler').innerText.includes('Ancestral')")
    choose_scheduler(page, "DDIM")
    page.wait_for_function("document.querySelector('#steps input[type=number]').value === '50'")
    page.wait_for_selector("#eta", state="visible")


def test_a_pair_says_what_is_missing_and_what_it_takes(open_page: Open) -> None:
    page = open_page()
    choose_pair(page, "celebahq-256, over50")
    page.wait_for_function("document.querySelector('#about-pair').innerText.includes('not on this machine')")
    expect(page.locator("#about-pair")).to_contain_text("alkzar90/ddpo-over50-celebahq-256", use_inner_text=True)
    page.click("#about-pair summary")
    expect(page.locator("#about-pair")).to_contain_text("910 MB to download", use_inner_text=True)
    expect(page.locator("#about-pair")).to_contain_text("Looks over 50", use_inner_text=True)


def test_the_dice_throws_another_seed(open_page: Open) -> None:
    page = open_page()
    page.click("#dice")
    page.wait_for_function("Number(document.querySelector('#seed input').value) > 0")


def test_a_list_closes_when_the_keyboard_moves_on(open_page: Open) -> None:
    page = open_page()
    page.focus("#pair input")
    page.wait_for_selector("#pair [role=listbox]")
    page.press("#pair input", "Tab")
    page.wait_for_function("!document.querySelector('#pair [role=listbox]')?.offsetHeight")
    choose_scheduler(page, "PNDM")  # the mouse still reaches what it is on
    page.wait_for_function("document.querySelector('#scheduler input').value === 'PNDM'")


def test_cancel_stops_the_computation(open_page: Open, app: RunningApp) -> None:
    page = open_page()
    mark = len(app.log)
    choose_scheduler(page, "DDPM")
    page.wait_for_function("document.querySelector('#steps input[type=number]').value === '1000'")
    page.click("#compare-button")
    page.wait_for_selector(".panels.drawing img", timeout=SLOW)
    page.wait_for_selector("#status .progress")
    late = page.inner_html("#status")
    page.click("#cancel-button", timeout=SLOW)
    app.wait_for_log(r"cancelled at evaluation \d+ of 2000", mark)
    page.wait_for_function("document.querySelector('#notice').innerText.includes('Cancelled')")
    # What was on its way is drawn after that on a slow page.
    page.evaluate("(late) => document.querySelector('#status').insertAdjacentHTML('beforeend', late)", late)
    assert page.locator("#status .progress").count()
    expect(page.locator("#status .progress").first).to_be_hidden()
    expect(page.locator("#notice")).to_be_visible()
    expect(page.locator(".drawing").first).to_be_hidden()
    page.evaluate("document.querySelector('#status').lastElementChild.remove()")
    expect(page.locator("#compare-button")).to_be_enabled()
    expect(page.locator("#cancel-button")).to_be_hidden()
    compare(page)


def test_closing_the_page_stops_the_computation(open_page: Open, app: RunningApp) -> None:
    page = open_page()
    mark = len(app.log)
    set_number(page, "#steps", "1000")
    page.click("#compare-button")
    page.wait_for_selector(".panels.drawing img", timeout=SLOW)
    page.close()
    app.wait_for_log(r"cancelled at evaluation \d+ of 2000", mark, seconds=30)


def test_the_downloads_hold_what_the_page_shows(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    compare(page)
    with page.expect_download() as started:
        page.click("#download-zip")
    path = tmp_path / started.value.suggested_filename
    started.value.save_as(path)
    assert path.name == "church-64-ddim-4-seed-0.zip"
    with zipfile.ZipFile(path) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".png")]) == 2 * 8
        facts = json.loads(archive.read("result.json"))
        picture = Image.open(io.BytesIO(archive.read("tuned/seed-0000000002.png")))
    assert picture.size == (64, 64)
    assert float(picture.text["score"]) == facts["tuned_scores"][2]  # type: ignore[attr-defined]
    expect(page.locator(".panel.finetuned figcaption").nth(2)).to_contain_text(
        f"{facts['tuned_scores'][2]:.2f}", use_inner_text=True
    )
    expect(page.locator(".sentence").first).to_have_text(facts["sentence"], use_inner_text=True)
    with page.expect_download() as started:
        page.click("#download-csv")
    assert started.value.path().read_text(encoding="utf-8").startswith("seed,base_score,tuned_score,difference,scorer")
    with page.expect_download() as started:
        page.click("#download-poster")
    with Image.open(started.value.path()) as shared:
        assert shared.width > 8 * 100 and "settings" in shared.text  # type: ignore[attr-defined]


def test_a_folder_without_a_model_gets_a_sentence_and_the_page_goes_on(open_page: Open, shots: Path) -> None:
    page = open_page()
    expect(page.locator("#own-base")).to_be_hidden()
    choose_pair(page, "Two models of your own")
    page.wait_for_selector("#own-base")
    page.fill("#own-base textarea, #own-base input", "/nowhere/<b>at all</b>")
    page.fill("#own-tuned textarea, #own-tuned input", "/nowhere/either")
    page.click("#compare-button")
    toast = page.get_by_test_id("toast-body")
    toast.wait_for(timeout=SLOW)
    expect(toast).to_contain_text("There is no folder '/nowhere/<b>at all</b>'", use_inner_text=True)
    assert "Traceback" not in toast.inner_text()
    page.wait_for_function("document.querySelector('#notice').innerText.includes('There is no folder')")
    page.locator("#pictures .done img").nth(15).wait_for()  # what was shown before
    page.wait_for_timeout(500)  # the message slides in
    page.screenshot(path=shots / "compare-error-wide.png", animations="disabled")
    page.wait_for_selector("#compare-button:not([disabled])")
    choose_pair(page, "church-64 (bundled)")
    page.wait_for_selector("#own-base", state="hidden")
    compare(page)  # what was typed for the other choice does not count


def test_a_picture_of_ones_own_is_scored(open_page: Open, shots: Path, tmp_path: Path) -> None:
    page = open_page()
    page.get_by_role("tab", name="Score a picture").click()
    Image.effect_noise((96, 96), 60).convert("RGB").save(tmp_path / "noise.png")
    page.set_input_files("#score-upload input[type=file]", tmp_path / "noise.png")
    page.wait_for_selector("#score-upload img")
    page.click("#score-button")
    page.wait_for_selector(".score-card", timeout=SLOW)
    expect(page.locator(".score-card").first).to_contain_text("photographic", use_inner_text=True)
    assert float(page.inner_text(".score-card > b")) >= 1
    page.screenshot(path=shots / "score-wide.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(open_page: Open, shots: Path, theme: str) -> None:
    page, sizes = open_page(WIDE, theme), {"wide": WIDE, "phone": PHONE}
    for name, size in sizes.items():
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.wait_for_timeout(300)
        page.screenshot(path=shots / f"compare-empty-{name}-{theme}.png")
        button = page.locator("#compare-button").bounding_box()
        assert button is not None and button["y"] + button["height"] <= size[1], name  # seen without scrolling
        assert overflow(page) <= 0, name
    compare(page)
    for name, size in reversed(sizes.items()):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.locator("#before-after-slider").scroll_into_view_if_needed()
        page.wait_for_function(
            "[...document.querySelectorAll('#before-after-slider img')].every((i) => i.naturalWidth)"
        )
        assert overflow(page) <= 0, name
        assert page.evaluate("document.querySelector('#before-after-slider img').clientWidth") > 200, name
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=shots / f"compare-done-{name}-{theme}.png", full_page=True)

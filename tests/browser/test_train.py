"""The Train tab as a visitor sees it, with a run that really trains."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.helpers.browsing import (
    DRAWN,
    PHONE,
    SLOW,
    TINY,
    WIDE,
    overflow,
    set_number,
    show_tab,
    wait_for_epoch,
    wait_for_state,
    without_errors,
)
from tests.helpers.run_folders import CHURCH, make_run
from tests.helpers.serving import RunningApp, running_app

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def training_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app with a folder of runs of its own."""
    with running_app(tmp_path_factory.mktemp("training") / "log.txt") as serving:
        yield serving


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Open]:
    """Opens the Train tab of an app."""
    with without_errors(browser) as opened:

        def open_(app: RunningApp, size: tuple[int, int] = WIDE, theme: str = "light") -> Page:
            page = opened(f"{app.url}/?__theme={theme}", size)
            show_tab(page)
            return page

        yield open_


def test_a_first_visitor_sees_what_will_come_and_how_long_it_takes(training_app: RunningApp, open_tab: Open) -> None:
    page = open_tab(training_app)
    expect(page.locator("#run-status")).to_contain_text("Press Start", use_inner_text=True)
    page.wait_for_function("document.querySelector('.estimate').innerText.includes('5,120 pictures in 20 epochs')")
    expect(page.locator("#stop-button")).to_be_hidden()
    expect(page.locator("#resume-button")).to_be_hidden()
    button = page.locator("#start-button").bounding_box()
    assert button is not None and button["y"] + button["height"] <= WIDE[1]  # seen without scrolling


def test_a_recipe_fills_every_setting_and_the_estimate_follows(training_app: RunningApp, open_tab: Open) -> None:
    page = open_tab(training_app)
    page.get_by_role("button", name="All settings").click()
    page.click("#train-recipe input")
    page.get_by_role("option", name="As in the paper").click()
    page.wait_for_function("document.querySelector('#setting-batch_size input').value === '128'")
    page.wait_for_function("document.querySelector('.estimate').innerText.includes('25,600 pictures in 100 epochs')")
    set_number(page, "#setting-trained_steps", 60)
    page.wait_for_selector(".estimate.problem")
    expect(page.locator(".estimate").first).to_contain_text(
        "trained_steps (60) must be below sampling_steps (50)", use_inner_text=True
    )
    page.click("#start-button")
    page.wait_for_selector("#train-notice .card")
    expect(page.locator("#train-notice")).to_contain_text("trained_steps (60)", use_inner_text=True)
    expect(page.locator("#run-status")).to_contain_text("Press Start", use_inner_text=True)


def test_the_estimate_follows_what_is_pasted_emptied_or_missing(training_app: RunningApp, open_tab: Open) -> None:
    page = open_tab(training_app)

    def estimate_says(words: str) -> None:
        page.wait_for_function("(words) => document.querySelector('.estimate').innerText.includes(words)", arg=words)

    page.fill("#setting-epochs input[type=number]", "")
    page.press("#setting-epochs input[type=number]", "Tab")
    estimate_says("Epochs is empty; give a number.")
    set_number(page, "#setting-epochs", 1200)  # more than a slider had
    estimate_says("pictures in 1200 epochs")
    set_number(page, "#setting-epochs", 40)
    estimate_says("in 40 epochs")
    page.fill("#setting-learning_rate input", "")
    estimate_says("Learning rate is empty; give a number.")
    set_number(page, "#setting-learning_rate", 1e-4)
    page.get_by_role("button", name="A model of your own").click()
    page.focus("#train-base input, #train-base textarea")
    page.keyboard.insert_text("google/ddpm-church-256")  # at once, as by pasting
    estimate_says("google/ddpm-church-256: not on this machine, and not to be had from the Hugging Face Hub now.")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("nonsense!!")
    estimate_says("nor is it the id of a model")


def stop(page: Page) -> None:
    page.click("#stop-button")
    wait_for_state(page, "stopped")


def download_result(page: Page, path: Path) -> list[str]:
    """The names in the archive that the button downloads."""
    with page.expect_download(timeout=SLOW) as download:
        page.click("#download-run-button")
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_start_watch_reload_stop_resume_and_compare(
    training_app: RunningApp, open_tab: Open, shots: Path, tmp_path: Path
) -> None:
    page = open_tab(training_app)
    page.get_by_role("button", name="All settings").click()
    set_number(page, "#setting-epochs", 60)
    for name, value in TINY.items():
        set_number(page, f"#setting-{name}", value)
    page.get_by_role("button", name="All settings").click()
    page.click("#start-button")
    wait_for_state(page, "running")
    wait_for_epoch(page, 2)
    page.wait_for_selector(".chart .curve")
    page.wait_for_function("document.querySelectorAll('.seed-grid img').length === 16")
    page.screenshot(path=shots / "train-running-wide.png", full_page=True)

    page.wait_for_function("document.querySelector('#start-button').innerText === 'Add to the queue'")
    page.click("#start-button")  # a second one has to wait
    wait_for_state(page, "queued")
    expect(page.locator("#run-status")).to_contain_text("It is the next to train", use_inner_text=True)
    page.click("#stop-button")  # which takes it out again
    wait_for_state(page, "stopped")
    page.locator(".run-row:has(.state.running)").click()
    wait_for_state(page, "running")
    # The address follows a moment later, and is what a reload goes by.
    page.wait_for_function("location.search.includes(document.querySelector('.run-row.chosen').dataset.run)")
    page.reload()
    show_tab(page)
    wait_for_state(page, "running")
    seen = wait_for_epoch(page, 3)
    stop(page)
    stopped = wait_for_epoch(page, seen)
    page.wait_for_selector(".motion img")
    assert page.evaluate("document.querySelector('.motion img').naturalWidth") > 200

    set_number(page, "#epoch-slider", 1)
    page.wait_for_function("document.querySelector('#run .panel.finetuned h3').innerText.startsWith('Epoch 1')")
    names = {name.partition("/")[2] for name in download_result(page, tmp_path / "result.zip")}
    assert names >= {"model_index.json", "README.md", "metrics.jsonl", "grids/before.png", "grids/after.png"}

    page.click("#resume-button")
    wait_for_state(page, "running")
    wait_for_epoch(page, stopped + 1)
    stop(page)

    page.click("#compare-run-button")
    page.wait_for_selector("#compare-button:visible")
    assert page.input_value("#pair input").startswith("Run of ")
    set_number(page, "#steps", 3)
    page.click("#compare-button")
    page.wait_for_selector(f"{DRAWN} .how", timeout=SLOW)
    expect(page.locator(".summary .how").first).to_contain_text("Run of ", use_inner_text=True)


def test_a_run_is_chosen_from_the_list_and_pushed_only_after_a_look(shown_app: RunningApp, open_tab: Open) -> None:
    page = open_tab(shown_app)
    wait_for_state(page, "finished")
    expect(page.locator("#stop-button")).to_be_hidden()
    expect(page.locator("#resume-button")).to_be_hidden()
    page.get_by_role("button", name="Push to the Hub").click()
    expect(page.locator("#push-button")).to_be_hidden()
    page.fill("#push-repository textarea, #push-repository input", "not a name")
    page.click("#push-plan-button")
    page.wait_for_selector("#push-outcome .card")
    expect(page.locator("#push-outcome")).to_contain_text("'not a name' cannot be", use_inner_text=True)
    page.fill("#push-repository textarea, #push-repository input", "someone/churches")
    page.click("#push-plan-button")
    page.wait_for_selector("#push-button")
    expect(page.locator(".plan").first).to_contain_text("unet/diffusion_pytorch_model.safetensors", use_inner_text=True)
    page.locator(".run-row:has(.state.failed)").click()
    wait_for_state(page, "failed")
    expect(page.locator(".run-status .error").first).to_contain_text("The disk is <b>full</b>.", use_inner_text=True)
    expect(page.locator("#resume-button")).to_be_visible()
    expect(page.locator("#push")).to_be_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(open_tab: Open, shots: Path, shown_app: RunningApp, theme: str) -> None:
    page = open_tab(shown_app, WIDE, theme)
    page.wait_for_selector(".motion img")
    page.wait_for_function("[...document.querySelectorAll('#run img')].every((i) => i.naturalWidth)")
    for name, size in {"wide": WIDE, "phone": PHONE}.items():
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.wait_for_timeout(300)
        assert overflow(page) <= 0, name
        page.screenshot(path=shots / f"train-done-{name}-{theme}.png", full_page=True)


@pytest.fixture(scope="module")
def shown_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app with a finished run."""
    folder = tmp_path_factory.mktemp("shown")
    make_run(folder / "runs", "failed", 1, error="The disk is <b>full</b>.")
    make_run(folder / "runs", "finished", 12, epochs=12, result=CHURCH)
    with running_app(folder / "log.txt") as serving:
        yield serving

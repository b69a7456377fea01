"""Many runs in Chromium: found, ticked, laid over each other, named and deleted; and settings with their errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from ddpo.runs import labels
from ddpo.runs.store import Run, list_runs
from tests.helpers.browsing import PHONE, WIDE, overflow, set_number, show_tab, wait_for_state, without_errors
from tests.helpers.run_folders import CHURCH, make_run, many_runs
from tests.helpers.serving import RunningApp, running_app


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The newest of 200 runs, which has a name."""
    root = tmp_path_factory.mktemp("many") / "runs"
    many_runs(root, 199)
    run = make_run(root, "finished", 12, epochs=12, result=CHURCH)
    labels.rename(run, "warm evenings")
    return run


@pytest.fixture(scope="module")
def full_app(named: Run) -> Iterator[RunningApp]:
    with running_app(named.root.parent / "log.txt", DDPO_RUNS=str(named.root)) as app:
        yield app


@pytest.fixture(scope="module")
def page(browser: Browser, full_app: RunningApp) -> Iterator[Page]:
    with without_errors(browser) as opened:
        page = opened(full_app.url, timezone_id="Asia/Tokyo")
        show_tab(page)
        wait_for_state(page, "finished")
        yield page


def shown_rows(page: Page) -> int:
    return page.locator(".run-row:visible").count()


def test_two_hundred_runs_are_filtered_and_their_times_are_the_visitors(page: Page, named: Run) -> None:
    page.wait_for_selector("#run-filter .count:has-text('(200)')")
    assert " UTC" not in page.inner_text("#run-status .how time") and " UTC" in str(
        page.get_attribute("#run-status .how time", "title")
    )
    page.select_option("select[data-by=state]", "Failed")
    page.select_option("select[data-by=reward]", "Photographic quality")
    page.wait_for_selector("#run-filter .count:has-text(' of 200)')")
    assert set(page.locator(".run-row:visible .state").all_inner_texts()) == {"Failed"}
    page.select_option("select[data-by=state]", "")
    page.select_option("select[data-by=reward]", "")
    page.fill("#run-filter input", "evenings warm")
    assert shown_rows(page) == 1
    expect(page.locator(".run-row:visible .run-title").first).to_have_text(
        re.compile("^warm evenings"), use_inner_text=True
    )
    page.fill("#run-filter input", "no such run")
    expect(page.locator("#all-runs .none").first).to_be_visible()
    page.fill("#run-filter input", "")
    for size in (PHONE, WIDE):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        assert overflow(page) <= 0


def test_ticked_runs_are_laid_over_each_other_and_tell_their_values(page: Page) -> None:
    for place in (0, 1, 3):
        page.locator(".run-row input").nth(place).check()
    page.wait_for_selector(".overlay h2:has-text('3 runs together')")
    page.wait_for_selector(".overlay .chart")
    expect(page.locator(".overlay .legend li")).to_have_count(3)
    expect(page.locator(".overlay .chart")).to_have_count(3)
    plot = page.locator(".overlay .plot").first
    plot.press("Home")
    expect(page.locator(".overlay .tip").first).to_contain_text("epoch 1: warm evenings: 4.1", use_inner_text=True)
    page.select_option("[data-tool=x]", "pictures")
    page.locator(".overlay .plot").first.focus()
    expect(page.locator(".overlay .tip").first).to_have_text(
        re.compile("^768 pictures: warm evenings: 5\\.2"), use_inner_text=True
    )
    page.check("[data-tool=log]")
    page.click(".overlay summary")
    assert page.locator(".overlay .values td", has_text="5.2").count() >= 1
    page.click("[data-clear]")
    page.wait_for_selector(".overlay", state="detached")
    expect(page.locator(".run-row input:checked")).to_have_count(0)


def test_settings_say_at_the_field_what_is_wrong_and_what_is_out_of_use(page: Page) -> None:
    page.get_by_role("button", name="All settings").click()
    page.wait_for_selector("#unused-lora_rank")
    expect(page.locator("#unused-lora_rank")).to_have_text("Not in use: weights is not lora.", use_inner_text=True)
    set_number(page, "#setting-trained_steps", 60)
    page.wait_for_selector("#wrong-trained_steps")
    field = page.locator("#setting-trained_steps input")
    expect(field).to_have_attribute("aria-invalid", "true")
    assert "wrong-trained_steps" in str(field.get_attribute("aria-describedby"))
    page.click("#use-button")  # the settings of the run that is shown
    page.wait_for_selector("#wrong-trained_steps", state="detached")
    page.wait_for_function("document.querySelector('#setting-epochs input').value === '12'")
    page.get_by_role("button", name="All settings").click()


def test_a_run_is_named_and_deleted_after_a_question(page: Page, named: Run) -> None:
    page.get_by_role("button", name="Name and note").click()
    page.fill("#run-name input, #run-name textarea", "cold mornings")
    page.click("#save-label-button")
    page.wait_for_selector(".run-row .run-title:has-text('cold mornings')")
    page.click("#delete-button")
    page.wait_for_selector("#delete-question:visible")
    expect(page.locator("#delete-question")).to_contain_text("cold mornings", use_inner_text=True)
    expect(page.locator("#delete-question")).to_contain_text("cannot be had back", use_inner_text=True)
    page.click("#keep-run-button")
    page.wait_for_selector("#delete-question", state="hidden")
    assert named.folder.is_dir()
    page.click("#delete-button")
    page.click("#delete-run-button")
    page.wait_for_selector("#run-filter .count:has-text('(199)')")
    assert not named.folder.exists() and len(list_runs(named.root)) == 199

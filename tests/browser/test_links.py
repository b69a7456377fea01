"""Links: the settings are the address, which follows the page, and brings fields, tab, run and result back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.helpers.browsing import DRAWN, SLOW, WIDE, set_number, settled, wait_for_state
from tests.helpers.run_folders import CHURCH, make_run
from tests.helpers.serving import RunningApp, running_app

Visit = Callable[..., Page]
SETTINGS = {
    "pair": "church-64", "scheduler": "ddim", "steps": "3", "eta": "0", "samples": "2", "seed": "11",
    "scorer": "photographic",
}  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app with two runs."""
    folder = tmp_path_factory.mktemp("linked")
    make_run(folder / "runs", "failed", 1, error="The disk is full.")
    make_run(folder / "runs", "finished", 3, epochs=3, result=CHURCH)
    with running_app(folder / "log.txt") as serving:
        yield serving


@pytest.fixture
def visit(browser: Browser, app: RunningApp) -> Iterator[Visit]:
    """Opens an address of the app in a browser without a past; in the end no page may have logged an error."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def visit_(address: str = "/") -> Page:
        context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
        page = context.new_page()
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(address if address.startswith("http") else app.url + address)
        page.wait_for_selector(".masthead")
        return page

    yield visit_
    for context in contexts:
        context.close()
    assert not troubles


def parameters(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def wait_for_address(page: Page, part: str) -> None:
    page.wait_for_function("(part) => location.search.includes(part)", arg=part)


def wait_for_parameters(page: Page, wanted: dict[str, str]) -> None:
    read = "JSON.stringify(Object.entries(Object.fromEntries(new URLSearchParams(location.search))).sort())"
    page.wait_for_function(f"(wanted) => {read} === JSON.stringify(wanted)", arg=sorted(wanted.items()))


def wait_for_seed(page: Page, seed: str) -> None:
    page.wait_for_function("(seed) => document.querySelector('#seed input')?.value === seed", arg=seed)


def shown(page: Page) -> tuple[str, list[str]]:
    """The sentence and the pictures."""
    sources = page.evaluate("[...document.querySelectorAll('#pictures .done img')].map((i) => i.src)")
    return page.inner_text(".sentence"), sources


def copied(page: Page) -> str:
    page.click(".copy-link")
    page.wait_for_function("document.querySelector('.copy-link').innerText === 'Link copied'")
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_link_gives_the_same_pictures_and_back_leads_to_what_was_before(visit: Visit) -> None:
    page = visit()
    settled(page)
    wait_for_parameters(page, {})  # nothing was asked for yet
    for name in ("steps", "samples", "seed"):
        set_number(page, f"#{name}", SETTINGS[name])
    wait_for_address(page, "seed=11")
    wait_for_parameters(page, SETTINGS)
    page.click("#compare-button")
    page.wait_for_selector(DRAWN, timeout=SLOW)
    assert len(shown(page)[1]) == 4 and copied(page).endswith(urlsplit(page.url).query)

    other = visit(copied(page))
    other.wait_for_selector(DRAWN)
    assert shown(other) == shown(page)
    expect(other.locator("#seed input").first).to_have_value("11")
    expect(other.locator("#samples input[type=number]").first).to_have_value("2")
    other.reload()
    other.wait_for_selector(DRAWN)
    assert shown(other) == shown(page)

    page.get_by_role("tab", name="Train").click()
    wait_for_address(page, "tab=train")
    page.go_back()
    page.wait_for_selector("#compare-button:visible")
    page.wait_for_function("!location.search.includes('tab=')")
    assert shown(page) == shown(other)
    page.go_back()
    page.wait_for_selector(".summary .saved")
    wait_for_seed(page, "0")
    wait_for_parameters(page, {})
    expect(page.locator("#steps input[type=number]").first).to_have_value("50")
    page.go_forward()
    page.wait_for_selector(DRAWN)
    wait_for_seed(page, "11")


def test_a_link_to_what_was_not_drawn_here_asks_for_a_press(visit: Visit) -> None:
    page = visit("/?pair=church-64&scheduler=unipc&steps=4&samples=1&seed=123456&scorer=colourfulness&__theme=dark")
    page.wait_for_function("document.querySelector('#status').innerText.includes('Press Compare')")
    page.wait_for_function("document.querySelector('#scheduler input').value === 'UniPC'")
    settled(page)
    expect(page.locator("#pictures img")).to_have_count(0)
    expect(page.locator("#before-after-slider")).to_be_hidden()
    set_number(page, "#seed", 7)
    wait_for_address(page, "seed=7")
    assert parameters(page.url)["__theme"] == "dark" and parameters(copied(page)).keys() == SETTINGS.keys()


def test_an_evaluation_is_linked_to_with_what_it_found(visit: Visit) -> None:
    page = visit("/?tab=evaluate")
    settled(page)
    wait_for_parameters(page, {"tab": "evaluate"})
    assert parameters(copied(page))["eval-seeds"] == "64"
    set_number(page, "#evaluate-seeds", 4)
    field = page.locator("#evaluate-steps input, #evaluate-steps textarea")
    field.fill("2, 3")
    field.press("Tab")
    wait_for_address(page, "eval-seeds=4&")
    wait_for_address(page, "eval-steps=2%2C+3")
    page.click("#evaluate-button")
    page.wait_for_selector("#one-seed img", timeout=SLOW)
    found = page.inner_text("#verdicts .sentence")

    for other in (visit(copied(page)), page):
        if other is page:
            other.reload()
        other.wait_for_selector("#one-seed img")
        expect(other.locator("#verdicts .sentence").first).to_have_text(found, use_inner_text=True)
        expect(other.locator("#evaluate-zip")).to_be_visible()
        expect(other.locator("#evaluate-seeds input[type=number]").first).to_have_value("4")

    page.get_by_role("tab", name="Compare").click()
    page.wait_for_function("!location.search.includes('eval-')")
    page.go_back()
    page.wait_for_selector("#evaluate-button:visible")
    expect(page.locator("#verdicts .sentence").first).to_have_text(found, use_inner_text=True)
    wait_for_address(page, "eval-seeds=4")

    wrong = visit("/?tab=evaluate&eval-seeds=1e9&eval-schedulers=<script>alert(1)</script>")
    wrong.wait_for_selector("#evaluate-notice .card")
    words = wrong.inner_text("#evaluate-notice")
    assert "seeds must be" in words and "no scheduler called" in words


def test_a_browser_remembers_what_was_used_last(visit: Visit) -> None:
    page = visit()
    settled(page)
    for name in ("steps", "samples", "seed"):
        set_number(page, f"#{name}", SETTINGS[name])
    page.click("#compare-button")
    page.wait_for_selector(DRAWN, timeout=SLOW)
    page.goto(page.url.partition("?")[0])
    wait_for_seed(page, "11")
    settled(page)
    expect(page.locator("#samples input[type=number]").first).to_have_value("2")
    wait_for_parameters(page, {})
    page.locator(".summary .saved").wait_for()  # which is what anybody else sees
    page.goto(page.url.partition("?")[0] + "?seed=12")  # an address means what it says, in every browser
    wait_for_seed(page, "12")
    settled(page)
    expect(page.locator("#samples input[type=number]").first).to_have_value("8")


def test_what_a_link_gets_wrong_is_said(visit: Visit) -> None:
    page = visit("/?seed=-1&scheduler=%3Cscript%3Ealert(1)%3C/script%3E&pair=" + "a" * 3000)
    note = page.locator("#address-note .card")
    note.wait_for()
    words = note.inner_text()
    assert "seed must be" in words and "no scheduler called" in words and "not be longer" in words
    settled(page)
    page.locator(".summary .saved").wait_for()  # as without a link


def test_a_run_is_linked_to_and_back_leads_from_run_to_run(visit: Visit, app: RunningApp) -> None:
    page = visit("/?tab=train")
    wait_for_state(page, "finished")
    page.locator(".run-row:has(.state.failed)").click()
    wait_for_state(page, "failed")
    wait_for_address(page, "run=")
    failed = parameters(page.url)
    assert failed.keys() == {"tab", "run"} and parameters(copied(page)) == failed
    page.locator(".run-row:has(.state.finished)").click()
    wait_for_state(page, "finished")
    page.wait_for_function("(run) => !location.search.includes(run)", arg=failed["run"])
    page.go_back()
    wait_for_state(page, "failed")
    page.reload()
    wait_for_state(page, "failed")
    page.wait_for_timeout(2000)  # a look at the folder later
    wait_for_parameters(page, failed)
    expect(page.locator(".run-status.failed")).to_have_count(1)

    missing = visit("/?tab=train&run=..%2F..%2F%3Cb%3Enothing")
    missing.wait_for_selector("#train-notice .card")
    expect(missing.locator("#train-notice")).to_contain_text("<b>nothing", use_inner_text=True)
    assert missing.inner_text("#train-notice").endswith(".")
    for run in (
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "x" * 10_000,
        "20200101-000000-of-somebody-else-0000",
        "%00",
        "-1",
    ):
        missing.goto(f"{app.url}/?tab=train&run={run}")
        missing.wait_for_selector("#train-notice .card")
        sentence = missing.inner_text("#train-notice p")
        assert sentence.endswith(".") and len(sentence) < 400, sentence


def thumbnails(page: Page) -> int:
    return page.locator(".thumbnails button").count()


def test_the_last_comparisons_stay_and_open_again(visit: Visit) -> None:
    page = visit("/?pair=church-64&scheduler=ddim&steps=2&samples=2&seed=40&scorer=photographic")
    settled(page)
    assert thumbnails(page) == 0
    expect(page.locator(".recent").first).to_be_hidden()
    results = []
    for number, seed in enumerate((40, 50), 1):
        set_number(page, "#seed", seed)
        page.click("#compare-button")
        page.wait_for_function(f"document.querySelectorAll('.thumbnails button').length === {number}", timeout=SLOW)
        results.append(shown(page))
    page.reload()
    page.wait_for_selector(DRAWN)
    assert thumbnails(page) == 2
    page.locator(".thumbnails button").nth(1).click()
    wait_for_seed(page, "40")
    page.wait_for_function(
        "(sentence) => document.querySelector('.sentence').innerText === sentence", arg=results[0][0]
    )
    wait_for_address(page, "seed=40")
    assert shown(page) == results[0]
    page.go_back()
    wait_for_seed(page, "50")
    page.wait_for_function(
        "(sentence) => document.querySelector('.sentence').innerText === sentence", arg=results[1][0]
    )


def test_a_cancelled_comparison_leaves_what_was_shown(visit: Visit) -> None:
    page = visit()
    before = shown(page)
    set_number(page, "#steps", 1000)
    page.click("#compare-button")
    page.wait_for_selector(".progress")
    expect(page.locator("#pictures .done")).to_have_count(0)  # nothing old under the progress of something new
    page.wait_for_selector(".panels.drawing img", timeout=SLOW)
    page.click("#cancel-button")
    page.wait_for_function("document.querySelector('#notice').innerText.includes('Cancelled')")
    page.wait_for_selector(".summary .saved")
    assert shown(page) == before
    expect(page.locator("#before-after-slider")).to_be_visible()
    assert thumbnails(page) == 0

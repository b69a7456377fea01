"""The app in a frame of another site, as the Hub shows a Space, in a browser that blocks third-party cookies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import constants
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect

from tests.helpers.browsing import DRAWN, QUIET, SLOW, TINY, chromium, settled
from tests.helpers.framing import framed
from tests.helpers.here import free_port
from tests.helpers.serving import RunningApp, running_app

WIDE, MIDDLE, PHONE = (1440, 900), (1024, 768), (390, 844)
QUICK = "pair=church-64&scheduler=unipc&steps=4&samples=2&scorer=colourfulness"
WRITE_A_COOKIE = "document.cookie = 'probe=1; SameSite=None; Secure; path=/'; document.cookie"
Visit = Callable[..., "list[Frame]"]


@pytest.fixture(scope="module")
def outer(app: RunningApp) -> Iterator[Callable[[int], str]]:
    """Address of the outer page with one frame, or with two."""
    with framed(app.url) as one, framed(app.url, frames=2) as two:
        yield lambda frames: (one, two)[frames - 1]


@pytest.fixture
def visit(private_browser: Browser, outer: Callable[[int], str]) -> Iterator[Visit]:
    """Opens the outer page and returns the frames with the app; in the end none may have logged an error.

    A context of Playwright's is a private window, in which Chromium blocks third-party cookies, storage included.
    """
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def visit_(query: str = "", size: tuple[int, int] = WIDE, frames: int = 1) -> list[Frame]:
        context = private_browser.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(f"{outer(frames)}?{query}")
        return app_frames(page)

    yield visit_
    for context in contexts:
        context.close()
    assert not troubles


def app_frames(page: Page) -> list[Frame]:
    """The frames of the outer page, once the app is there."""
    frames = page.main_frame.child_frames
    for frame in frames:
        frame.wait_for_selector("#compare-button", state="attached", timeout=SLOW)
    return frames


def number(frame: Frame, control: str) -> float:
    return float(frame.input_value(f"{control} input[type=number]"))


def compare(frame: Frame) -> str:
    """Compares as the fields stand, and returns the seeds that the result shows."""
    frame.click("#compare-button")
    frame.wait_for_selector(DRAWN, timeout=SLOW)
    captions = frame.locator(".panel.base figcaption").all_inner_texts()
    return " ".join(caption.split()[1] for caption in captions)


def height(page: Page) -> int:
    """Of the frame, once the outer page has not changed it for a second."""
    page.wait_for_function(
        "(() => { const now = document.querySelector('iframe').offsetHeight;"
        " if (now !== window.seen || now <= 300) { window.seen = now; window.since = Date.now(); }"
        " return Date.now() - window.since > 1000; })()"
    )
    return int(page.evaluate("document.querySelector('iframe').offsetHeight"))


def shoot(page: Page, path: Path) -> None:
    """All of the outer page; what is in a frame is painted only where it can be seen."""
    page.set_viewport_size({"width": page.viewport_size["width"], "height": 56 + height(page)})  # type: ignore[index]
    page.wait_for_timeout(500)
    page.screenshot(path=path)


def test_third_party_cookies_are_blocked_here_and_would_be_noticed(
    private_browser: Browser, visit: Visit, outer: Callable[[int], str], app: RunningApp, tmp_path: Path
) -> None:
    (frame,) = visit()
    assert frame.evaluate(WRITE_A_COOKIE) == ""
    assert frame.evaluate("(() => { try { return localStorage.length } catch { return 'denied' } })()") == "denied"
    alone = frame.page.context.new_page()
    alone.goto(f"{app.url}/robots.txt")
    assert alone.evaluate(WRITE_A_COOKIE) == "probe=1"  # a page of its own may, so it is the frame that may not
    (tmp_path / "Default").mkdir()
    allow = {"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": False}}
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(allow), encoding="utf-8")
    with private_browser.browser_type.launch_persistent_context(
        tmp_path, executable_path=chromium(), args=list(QUIET)
    ) as allowing:
        page = allowing.new_page()
        page.goto(outer(1))
        assert app_frames(page)[0].evaluate(WRITE_A_COOKIE) == "probe=1"


def test_the_outer_address_fills_the_fields_and_the_comparison_runs(visit: Visit) -> None:
    (frame,) = visit(f"{QUICK}&seed=41&eta=0.5&logs=container")
    frame.wait_for_function("document.querySelector('#scheduler input').value === 'UniPC'")
    assert (number(frame, "#steps"), number(frame, "#samples"), number(frame, "#seed")) == (4, 2, 41)
    assert "Colourfulness" in frame.input_value("#compare-scorer input")
    expect(frame.locator("#eta")).to_be_hidden()
    expect(frame.locator("#address-note")).to_be_hidden()
    frame.page.wait_for_timeout(500)
    assert number(frame, "#steps") == 4  # a scheduler's own number of steps does not come after it
    assert compare(frame) == "41 42"
    expect(frame.locator(".sentence").first).to_contain_text("colourfulness", use_inner_text=True)
    frame.click(".panel.base .pic[data-index='1']")
    frame.wait_for_function("document.querySelector('.chosen-line h3').innerText.startsWith('Seed 42,')")
    assert not frame.page.context.cookies()


def _take_for_the_hub(address: str) -> None:
    vars(constants)["ENDPOINT"] = address


def test_the_address_of_the_hubs_page_follows_the_app(private_browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    take = partial(_take_for_the_hub, f"http://localhost:{port}")
    with running_app(tmp_path / "log.txt", take) as app, framed(app.url, port=port) as hub:
        context = private_browser.new_context()
        page = context.new_page()
        page.goto(f"{hub}?seed=3&logs=container&__sign=abc")
        (frame,) = app_frames(page)
        frame.wait_for_function("document.querySelector('#seed input').value === '3'")
        settled(frame)
        frame.fill("#seed input[type=number]", "4")
        page.wait_for_function("location.search.includes('seed=4')")
        assert "steps=50" in page.url and "logs=container" in page.url and "__sign" not in page.url
        context.close()


def test_two_frames_do_not_see_each_others_results(visit: Visit) -> None:
    one, other = visit(f"{QUICK}&seed=5&fixed", frames=2)
    settled(other)
    assert compare(one) == "5 6"
    expect(other.locator(DRAWN)).to_have_count(0)
    expect(other.locator("#status")).to_contain_text("Press Compare")
    other.fill("#seed input[type=number]", "9")
    other.press("#seed input[type=number]", "Tab")
    assert compare(other) == "9 10"
    one.click(".panel.base .pic[data-index='1']")
    one.wait_for_function("document.querySelector('.chosen-line h3').innerText.startsWith('Seed 6,')")
    assert number(one, "#seed") == 5


def test_a_tab_can_be_linked_to_and_trains(visit: Visit) -> None:
    (frame,) = visit("tab=train")
    frame.wait_for_selector("#start-button")
    frame.wait_for_selector(".estimate")
    frame.get_by_role("button", name="All settings").click()
    for name, value in {**TINY, "epochs": 1}.items():
        frame.fill(f"#setting-{name} input[type=number]", str(value))
        frame.press(f"#setting-{name} input[type=number]", "Tab")
    frame.wait_for_function("document.querySelector('.estimate').innerText.includes('2 pictures in 1 epoch')")
    frame.click("#start-button")
    frame.wait_for_selector(".run-status.finished", timeout=SLOW)
    frame.click("#compare-run-button")
    frame.wait_for_function("document.querySelector('#pair input').value.startsWith('Run of ')")
    frame.wait_for_selector("#compare-button")


def test_what_an_address_gets_wrong_is_said_and_the_rest_is_taken(visit: Visit, shots: Path) -> None:
    (frame,) = visit("tab=paint&steps=many&seed=7&scheduler=<b>&samples=99")
    note = frame.locator("#address-note .card")
    note.wait_for()
    words = note.inner_text()
    for expected in ("no tab called 'paint'", "steps must be", "no scheduler called '<b>'", "from 1 to 16"):
        assert expected in words, words
    assert number(frame, "#seed") == 7 and number(frame, "#steps") == 50 and number(frame, "#samples") == 8
    height(frame.page)
    frame.page.screenshot(path=shots / "frame-address-wide.png")


@pytest.mark.parametrize(
    ("name", "size", "theme"), [("wide", WIDE, "light"), ("1024", MIDDLE, "dark"), ("phone", PHONE, "dark")]
)
def test_the_frame_gets_the_height_of_what_is_in_it(
    visit: Visit, shots: Path, name: str, size: tuple[int, int], theme: str
) -> None:
    (frame,) = visit(f"{QUICK}&__theme={theme}&seed={size[0]}", size)  # drawn by no other test
    page = frame.page
    empty = height(page)
    inner = frame.evaluate(
        "(() => { const bottom = (what) => document.querySelector(what).getBoundingClientRect().bottom;"
        " return Math.max(bottom('#controls'), bottom('#results')); })()"
    )
    assert 0 < empty - inner < 160  # the footer, and no emptiness that grows with the frame
    frame.click("#compare-button")
    if size == PHONE:
        page.wait_for_function("scrollY < 500")  # back to the progress, which is above the fields
    frame.wait_for_selector(DRAWN, timeout=SLOW)
    frame.locator("#before-after-slider").scroll_into_view_if_needed()
    frame.wait_for_function("[...document.querySelectorAll('#before-after-slider img')].every((i) => i.naturalWidth)")
    done = height(page)
    sticks = frame.evaluate("document.querySelector('#compare-button').getBoundingClientRect().bottom")
    assert empty / 2 < done < 3600 and 0 < sticks < done
    for inside in (frame, page.main_frame):
        assert inside.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    frame.wait_for_function("document.documentElement.scrollHeight <= document.documentElement.clientHeight")
    shoot(page, shots / f"frame-done-{name}-{theme}.png")


def test_in_a_frame_of_fixed_height_the_button_keeps_to_its_lower_edge(visit: Visit) -> None:
    (frame,) = visit(f"{QUICK}&fixed", PHONE)
    box = frame.locator("#compare-button").bounding_box()
    assert box is not None and box["y"] + box["height"] <= 56 + PHONE[1]  # the frame begins below the outer header
    frame.wait_for_function(
        "document.querySelector('#compare-button').getBoundingClientRect().bottom <= window.innerHeight"
    )

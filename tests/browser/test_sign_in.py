"""Visitors who sign in with Hugging Face, through Gradio's own login, a provider beside the app and a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect

from ddpo.ui.space.sign_in import EXPIRED
from ddpo.ui.space.sign_in_button import SIGN_IN
from tests.helpers.browsing import PHONE, TINY, overflow, set_number, show_tab, wait_for_epoch, wait_for_state
from tests.helpers.framing import framed
from tests.helpers.hub_server import HubServer, serving
from tests.helpers.run_folders import CHURCH, make_run
from tests.helpers.serving import RunningApp, running_app
from tests.helpers.sign_in import HOURS, SignInServer, signing_in

Visit = Callable[..., Page]
WIDE = (1280, 900)
OF_THE_SPACE = "hf_token_of_the_space"
ONLY_THE_OWNER = "Only the owner of this Space may finetune here; sign in as the owner, or duplicate the Space."
NO_ANSWER = "Hugging Face does not answer just now, so signing in did not work. Go back and try again."
BAD_GATEWAY = "Failed to load resource: the server responded with a status of 502 (Bad Gateway)"  # of that page
OUTSIDE = ("huggingface.co/", "fonts.googleapis.com/")  # what Gradio's frontend asks for on a Space


@dataclass(frozen=True)
class Space:
    """The app as on a Space of `owner`, with the Hub and the provider that it knows."""

    app: RunningApp
    hub: HubServer
    provider: SignInServer


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """With a finished run, training for its owner only, and a token in its environment that is no visitor's."""
    folder = tmp_path_factory.mktemp("sign-in")
    make_run(folder / "runs", "finished", 4, result=CHURCH)
    with serving() as hub, signing_in(hub, "owner", "visitor") as provider:
        hub.users[OF_THE_SPACE] = "owner"
        variables = {
            **provider.variables, "SYSTEM": "spaces", "SPACE_ID": "owner/ddpo-studio", "SPACE_AUTHOR_NAME": "owner",
            "DDPO_TRAINING": "owner", "DDPO_MAX_MINUTES": "5", "HF_TOKEN": OF_THE_SPACE, "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_CACHE": str(folder / "cache"),
        }  # fmt: skip
        with running_app(folder / "log.txt", **variables) as app:
            yield Space(app, hub, provider)


@pytest.fixture
def visit(browser: Browser, space: Space) -> Iterator[Visit]:
    """Opens the Train tab as somebody new; in the end no page may have logged an error."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def note(message: ConsoleMessage) -> None:
        url = message.location["url"]
        ours = not any(host in url for host in OUTSIDE) and message.text != "Space not found"
        if "/login/callback" in url and message.text == BAD_GATEWAY:
            return
        if message.type == "error" and ours:
            troubles.append(message.text)

    def visit_(size: tuple[int, int] = WIDE) -> Page:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        context.route(lambda url: any(host in url for host in OUTSIDE), lambda route: route.abort())
        context.on("console", note)
        context.on("weberror", lambda error: troubles.append(str(error.error)))
        page = context.new_page()
        page.goto(space.app.url)
        show_tab(page)
        return page

    yield visit_
    for context in contexts:
        context.close()
    assert not troubles
    assert "Unexpected error" not in space.app.log and "Exception in ASGI" not in space.app.log


def sign_in(page: Page, who: str) -> None:
    """Through the provider's page, and back on the tab from which the button was pressed."""
    page.click(f"#sign-in-button:has-text('{SIGN_IN}')")
    page.get_by_role("link", name=who, exact=True).click()
    page.wait_for_selector(f"#sign-in-button:has-text('{SIGN_IN if who == 'Cancel' else f'Sign out ({who})'}')")
    page.wait_for_selector(".estimate")


def press_start(page: Page) -> str:
    """What the page says to that, where it can be seen."""
    page.click("#start-button")
    card = page.locator("#train-notice .card")
    card.wait_for()
    page.wait_for_function(
        "(() => { const box = document.querySelector('#train-notice .card').getBoundingClientRect();"
        " const start = document.querySelector('#start-button').getBoundingClientRect();"
        " return box.top >= 0 && box.bottom <= start.top; })()"
    )
    return card.inner_text()


def push(page: Page, repository: str, expected: str) -> None:
    """Look at what would be pushed, push it, and wait for an outcome with these words."""
    chosen = page.locator(".run-row.chosen:has(.state.finished)")
    if not chosen.count():  # choosing scrolls to the run when it is there, and a press just then would miss its button
        page.locator(".run-row:has(.state.finished)").click()
        chosen.wait_for()
        page.wait_for_timeout(1000)
    wait_for_state(page, "finished")
    if not page.is_visible("#push-repository"):
        page.get_by_role("button", name="Push to the Hub").click()
    page.fill("#push-repository textarea, #push-repository input", repository)
    page.click("#push-plan-button")
    page.wait_for_selector("#push-outcome .plan")
    page.click("#push-button")
    page.locator("#push-outcome .card", has_text=expected).wait_for()


def test_only_the_owner_may_train_whether_signed_in_or_not(space: Space, visit: Visit, shots: Path) -> None:
    page = visit()
    assert ONLY_THE_OWNER in press_start(page)
    expect(page.locator("#duplicate")).to_be_visible()
    page.screenshot(path=shots / "sign-in-nobody-wide.png")
    sign_in(page, "visitor")
    assert ONLY_THE_OWNER in press_start(page)
    expect(page.locator("#duplicate")).to_be_visible()
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert ONLY_THE_OWNER in press_start(page) and overflow(page) <= 0
    page.screenshot(path=shots / "sign-in-visitor-phone.png")
    assert len(list((space.app.log_file.parent / "runs").glob("2*"))) == 1


def test_who_changes_their_mind_is_back_on_the_tab_and_not_signed_in(space: Space, visit: Visit) -> None:
    page = visit()
    sign_in(page, "Cancel")
    expect(page).to_have_url(f"{space.app.url}/?tab=train")
    assert ONLY_THE_OWNER in press_start(page)


def test_where_hugging_face_does_not_answer_a_sentence_leads_back(space: Space, visit: Visit) -> None:
    page = visit()
    page.click("#sign-in-button")
    space.provider.hangs_up = True
    try:
        page.get_by_role("link", name="visitor", exact=True).click()
        page.wait_for_url("**/login/callback*")
    finally:
        space.provider.hangs_up = False
    expect(page.locator("body")).to_have_text(NO_ANSWER, use_inner_text=True)
    page.get_by_role("link", name="Go back").click()
    sign_in(page, "visitor")


def test_the_owner_signs_in_trains_stops_and_signs_out(space: Space, visit: Visit, shots: Path) -> None:
    page = visit()
    sign_in(page, "owner")
    page.wait_for_selector("#duplicate", state="hidden")
    page.get_by_role("button", name="All settings").click()
    set_number(page, "#setting-epochs", 60)
    for name, value in TINY.items():
        set_number(page, f"#setting-{name}", value)
    page.click("#start-button")
    wait_for_state(page, "running")
    wait_for_epoch(page, 1)
    page.screenshot(path=shots / "sign-in-owner-wide.png")
    page.click("#stop-button")
    wait_for_state(page, "stopped")
    assert not page.inner_text("#train-notice").strip()
    page.click("#sign-in-button")
    page.wait_for_selector(f"#sign-in-button:has-text('{SIGN_IN}')")
    page.wait_for_selector("#duplicate")
    page.wait_for_selector(".run-status.stopped")
    page.click("#resume-button")
    page.wait_for_selector(f"#train-notice .card:has-text('{ONLY_THE_OWNER}')")


def test_a_visitor_pushes_as_themselves_and_the_token_stays_where_it_belongs(
    space: Space, visit: Visit, shots: Path
) -> None:
    page = visit()
    push(page, "visitor/churches", "Sign in first")
    sign_in(page, "visitor")
    push(page, "owner/churches", "You may not write to 'owner/churches'")
    # What was said of one name is gone with the first letter of another, at once
    page.locator("#push-repository textarea, #push-repository input").press_sequentially("s")
    page.wait_for_selector("#push-outcome .card", state="hidden")
    page.wait_for_selector("#push-button", state="hidden")
    address = f"{space.hub.url}/visitor/churches"
    push(page, "visitor/churches", address)
    page.locator("#push").screenshot(path=shots / "sign-in-pushed.png")
    expect(page.locator("#push-outcome a").first).to_have_attribute("href", address)
    expect(page.locator("#push-button")).to_be_hidden()

    token = space.provider.tokens["visitor"][-1]
    assert list(space.hub.repositories) == ["visitor/churches"]
    files = space.hub.repositories["visitor/churches"].files()
    assert "unet/diffusion_pytorch_model.safetensors" in files and "README.md" in files
    written = [request for request in space.hub.requests if request.method == "POST"]
    assert written and {request.headers["authorization"] for request in written} == {f"Bearer {token}"}
    assert token not in page.content() + page.evaluate("document.cookie + JSON.stringify(localStorage)")
    kept = [file for file in (space.app.log_file.parent / "runs").rglob("*") if file.is_file()]
    assert kept and not any(token.encode() in file.read_bytes() for file in kept)
    assert token not in space.app.log and not any(token.encode() in file.read() for file in files.values())


def test_a_sign_in_that_is_over_is_said_to_be_over(space: Space, visit: Visit) -> None:
    page = visit()
    sign_in(page, "visitor")
    token = space.provider.tokens["visitor"][-1]
    del space.hub.users[token]  # as when the visitor has revoked it in the settings of the Hub
    push(page, "visitor/late", "The Hub does not take your sign-in any more; sign out, and sign in again.")
    space.hub.users[token] = "visitor"

    space.provider.holds = -60
    try:
        other = page.context.new_page()  # another page of the same browser, so that this one still shows who was there
        other.goto(f"{space.app.url}/login/huggingface?_target_url=/robots.txt")
        other.get_by_role("link", name="visitor", exact=True).click()
        other.wait_for_url("**/robots.txt")
    finally:
        space.provider.holds = HOURS
    assert page.inner_text("#sign-in-button").strip() == "Sign out (visitor)"
    push(page, "visitor/late", EXPIRED)
    page.wait_for_selector(f"#sign-in-button:has-text('{SIGN_IN}')")
    assert "visitor/late" not in space.hub.repositories
    sign_in(page, "visitor")
    push(page, "visitor/late", f"{space.hub.url}/visitor/late")


def test_in_a_frame_without_cookies_signing_in_opens_a_window_of_its_own(
    space: Space, private_browser: Browser, shots: Path
) -> None:
    size: ViewportSize = {"width": 1280, "height": 900}
    with framed(space.app.url) as outer, private_browser.new_context(viewport=size) as context:
        context.route(lambda url: any(host in url for host in OUTSIDE), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{outer}?tab=train&seed=7")
        (frame,) = page.main_frame.child_frames
        frame.wait_for_selector("#sign-in-hint .only-framed")
        expect(frame.locator("#sign-in-hint")).to_contain_text("window of its own", use_inner_text=True)
        with context.expect_page() as opened:
            frame.click(f"#sign-in-button:has-text('{SIGN_IN}')")
        window = opened.value
        window.get_by_role("link", name="visitor", exact=True).click()
        window.wait_for_selector("#sign-in-button:has-text('Sign out (visitor)')")
        window.wait_for_selector(".estimate")
        assert window.url.startswith(space.app.url) and "seed=7" in window.url
        expect(window.locator("#sign-in-hint .only-framed")).to_be_hidden()
        frame.wait_for_selector(f"#sign-in-button:has-text('{SIGN_IN}')")
        page.screenshot(path=shots / "frame-sign-in-wide.png")

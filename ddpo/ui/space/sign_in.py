"""Signing in with Hugging Face, where a Space lets people: the button, and a way back from whatever becomes of it."""

from __future__ import annotations

import importlib.util
import logging
import os
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from ddpo.common.machine import on_space
from ddpo.errors import UserError
from ddpo.ui.shared.events import QUICK
from ddpo.ui.space import permission
from ddpo.ui.space.asker import who
from ddpo.ui.space.sign_in_button import SIGN_IN, SignInButton

if TYPE_CHECKING:
    from gradio.events import Dependency
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger("ddpo.ui")

SIGN_OUT = "Sign out ({})"
EXPIRED = "Your sign-in has expired; sign in again."
IN_A_FRAME = (
    '<p class="hint only-framed">Signing in opens this page in a window of its own, since a page within another '
    "site's cannot keep you signed in; go on there.</p>"
)
WHAT_FOR = {
    "owner": "Only the owner of this Space may finetune here. Everybody may look, and push results to the Hub once "
    "signed in.",
    "on": "To push results to the Hub, as yourself.",
}
FAILED = (
    '<!doctype html><meta name="viewport" content="width=device-width"><title>DDPO Studio</title>'
    '<p style="font-family: system-ui, sans-serif; margin: 2rem">{} '
    '<a href="/?tab=train">Go back and try again.</a></p>'
)


def is_offered() -> bool:
    """Whether visitors can sign in here."""
    # Elsewhere Gradio only plays at it: whoever presses the button is signed in as the machine's own account.
    return on_space() and bool(os.environ.get("OAUTH_CLIENT_ID")) and importlib.util.find_spec("authlib") is not None


def build() -> gr.Button:
    """The button, with what it is for: the owner to train, anybody to push to the Hub. Invisible where it cannot be."""
    if is_offered():
        button = SignInButton(SIGN_IN, SIGN_OUT, size="md", elem_id="sign-in-button")
        gr.HTML(f'<p class="hint">{WHAT_FOR[permission.mode()]}</p>{IN_A_FRAME}', elem_id="sign-in-hint")
        return button
    if on_space() and permission.mode() == "owner":
        gr.HTML('<p class="hint">Only the owner may finetune here, but nobody can sign in: the README of this Space '
                "needs <code>hf_oauth: true</code>.</p>")  # fmt: skip
    if not on_space():
        line = gr.HTML(visible=False, elem_id="train-elsewhere")
        gr.on(None, _elsewhere, None, line, **QUICK)
    return gr.Button(SIGN_IN, visible=False)


def _elsewhere(request: gr.Request | None) -> Any:
    """A line for who may look but not train, before they fill everything in."""
    try:
        permission.check_training(who(request))
    except UserError as error:
        return gr.update(value=f'<p class="hint">{escape(str(error))}</p>', visible=True)
    return gr.update(visible=False)


def has_expired(who: gr.OAuthProfile | gr.OAuthToken | None, label: Any) -> bool:
    """Whether nobody is signed in, though the button still says so: a sign-in holds for some hours."""
    return who is None and isinstance(label, str) and label != SIGN_IN


def refresh(event: Dependency, button: gr.Button) -> None:
    """After an event, have the button say who is signed in by now."""
    if isinstance(button, gr.LoginButton):
        event.then(_label, None, button, **QUICK)


def _label(profile: gr.OAuthProfile | None) -> str:
    return SIGN_IN if profile is None else SIGN_OUT.format(profile.username)


def exception_handlers() -> dict[Any, Any]:
    """For the web application below Gradio: without these, whoever changes their mind reads "Internal Server Error"."""
    if not is_offered():
        return {}
    from authlib.integrations.starlette_client import OAuthError
    from httpx2 import HTTPError  # which huggingface_hub brings, and authlib prefers

    return {OAuthError: _on_refusal, HTTPError: _on_silence}


async def _on_refusal(request: Request, error: Exception) -> Response:
    """Back to the page for who did not agree; a sentence where something else is the matter."""
    from starlette.responses import RedirectResponse

    if getattr(error, "error", None) == "access_denied":
        return RedirectResponse("/?tab=train")
    return _failed("Signing in did not work.", error, 400)


async def _on_silence(request: Request, error: Exception) -> Response:
    """A sentence where Hugging Face itself does not answer as it should."""
    return _failed("Hugging Face does not answer just now, so signing in did not work.", error, 502)


def _failed(sentence: str, error: Exception, status: int) -> Response:
    from starlette.responses import HTMLResponse

    logger.warning("Signing in failed: %s: %s", type(error).__name__, error)
    return HTMLResponse(FAILED.format(sentence), status_code=status)

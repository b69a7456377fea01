"""Signing in with Hugging Face, where a Space lets people: the button, and a way back from whatever becomes of it."""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import TYPE_CHECKING, Any

import gradio as gr

from ddpo.ui.shared.events import PRIVATE, QUICK
from ddpo.ui.space import permission

if TYPE_CHECKING:
    from gradio.events import Dependency
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger("ddpo.ui")

SIGN_IN, SIGN_OUT = "Sign in with Hugging Face", "Sign out ({})"
EXPIRED = "Your sign-in has expired; sign in again."
WHAT_FOR = {
    "owner": "Only the owner of this Space may finetune here. Everybody may look, and push results to the Hub once "
    "signed in.",
    "on": "To push results to the Hub, as yourself.",
}
FAILED = (
    '<!doctype html><meta name="viewport" content="width=device-width"><title>DDPO Studio</title>'
    '<p style="font-family: system-ui, sans-serif; margin: 2rem">{} <a href="/">Go back and try again.</a></p>'
)
# Signing in and out load the page anew, which begins with another tab. Frames may be denied any storage.
REMEMBER_TAB = "() => { try { sessionStorage.setItem('back-to', 'train'); } catch {} }"
BACK_TO_TAB = """
() => {
  try {
    const tab = sessionStorage.getItem('back-to');
    sessionStorage.removeItem('back-to');
    if (tab) document.querySelector(`[role=tab][data-tab-id="${tab}"]`)?.click();
  } catch {}
}
"""


def is_offered() -> bool:
    """Whether visitors can sign in here."""
    return bool(os.environ.get("OAUTH_CLIENT_ID")) and importlib.util.find_spec("authlib") is not None


def build() -> gr.Button:
    """The button, with what it is for: the owner to train, anybody to push to the Hub. Invisible where it cannot be."""
    if is_offered():
        button = gr.LoginButton(SIGN_IN, SIGN_OUT, size="md", elem_id="sign-in-button")
        gr.HTML(f'<p class="hint">{WHAT_FOR[permission.mode()]}</p>', elem_id="sign-in-hint")
        button.click(None, None, None, js=REMEMBER_TAB, **PRIVATE)
        return button
    if permission.mode() == "owner":
        gr.HTML('<p class="hint">Only the owner may finetune here, but nobody can sign in: the README of this Space '
                "needs <code>hf_oauth: true</code>.</p>")  # fmt: skip
    return gr.Button(SIGN_IN, visible=False)


def connect(demo: gr.Blocks) -> None:
    """Show the tab again from which somebody signed in or out."""
    if is_offered():
        demo.load(None, None, None, js=BACK_TO_TAB, **PRIVATE)


def has_expired(who: gr.OAuthProfile | gr.OAuthToken | None, label: Any) -> bool:
    """Whether nobody is signed in, though the button still says so: a sign-in holds for some hours."""
    return who is None and isinstance(label, str) and label != SIGN_IN


def refresh(event: Dependency, button: gr.Button) -> None:
    """After an event, have the button say who is signed in by now."""
    if isinstance(button, gr.LoginButton):
        event.then(_label, None, button, **QUICK)


def _label(profile: gr.OAuthProfile | None) -> str:
    return SIGN_IN if profile is None else SIGN_OUT.format(profile.username)


def app_options() -> dict[str, Any]:
    """For the web application below Gradio: without these, whoever changes their mind reads "Internal Server Error"."""
    if not is_offered():
        return {}
    from authlib.integrations.starlette_client import OAuthError
    from httpx2 import HTTPError  # which huggingface_hub brings, and authlib prefers

    return {"exception_handlers": {OAuthError: _on_refusal, HTTPError: _on_silence}}


async def _on_refusal(request: Request, error: Exception) -> Response:
    """Back to the page for who did not agree; a sentence where something else is the matter."""
    from starlette.responses import RedirectResponse

    if getattr(error, "error", None) == "access_denied":
        return RedirectResponse("/")
    return _failed("Signing in did not work.", error, 400)


async def _on_silence(request: Request, error: Exception) -> Response:
    """A sentence where Hugging Face itself does not answer as it should."""
    return _failed("Hugging Face does not answer just now, so signing in did not work.", error, 502)


def _failed(sentence: str, error: Exception, status: int) -> Response:
    from starlette.responses import HTMLResponse

    logger.warning("Signing in failed: %s: %s", type(error).__name__, error)
    return HTMLResponse(FAILED.format(sentence), status_code=status)

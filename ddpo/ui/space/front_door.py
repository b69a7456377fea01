"""What every request passes before it reaches Gradio: by which names the app answers, and pages of other sites.

It also marks the calls of tools for language models. Gradio carries these out by asking itself, from this machine, so
without the mark anybody's call would be one of the operator's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import gradio as gr
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse

from ddpo.common.machine import on_space
from ddpo.ui.space import asker, permission
from ddpo.ui.space.listeners import CALL_HEADER, Listeners, new_call

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
API = "/gradio_api/"
TOOLS = "/gradio_api/mcp"
UPLOADS = "/gradio_api/upload"


class FrontDoor:
    """Middleware around the web application."""

    def __init__(
        self, app: ASGIApp, answers_to: Callable[[asker.Authority | None], bool], listeners: Listeners
    ) -> None:
        self.app = app
        self.answers_to = answers_to
        self.listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "websocket":  # Gradio has none
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = Request(scope)
        sentence = self.refusal(request)
        if sentence is not None:
            return await JSONResponse({"detail": sentence, "error": sentence}, 403)(scope, receive, send)
        if request.method == "POST" and request.url.path.rstrip("/").endswith(UPLOADS):
            receive = _whole_body(receive)
        with ExitStack() as stack:
            for key in _heard(request, scope):
                stack.enter_context(self.listeners.listening(key))
            return await self.app(scope, receive, send)

    def refusal(self, request: Request) -> str | None:
        """Why a request is not even looked at; None where it is."""
        host = asker.sent_to(request)
        if not self.answers_to(host):
            name = host.name if host else "that name"
            return (
                f"This app does not answer as {name[:100]}. Open it at the machine that runs it, through "
                f"http://localhost; who serves it under another name sets DDPO_HOSTS to that name."
            )
        # At a public address another site can do no more than everybody; in the operator's browser it could.
        harmless = on_space() or request.method in SAFE_METHODS
        if not harmless and asker.from_this_machine(request) and asker.from_another_site(request):
            return permission.ANOTHER_SITE
        return None


def names(blocks: gr.Blocks, server_name: str | None) -> Callable[[asker.Authority | None], bool]:
    """By which names an app answers.

    One that listens on this machine alone answers to local names, to addresses, to its share link and to DDPO_HOSTS. A
    page of another site can have its own name point to this machine, but none of these. One that listens to the
    network answers to any name, as all who reach it are treated alike.

    Args:
        blocks: the app.
        server_name: what it listens on; None: GRADIO_SERVER_NAME, else this machine alone.
    """
    public = on_space() or is_public(server_name)
    given = [name.strip().lower().removesuffix(".") for name in os.environ.get("DDPO_HOSTS", "").split(",")]

    def answers_to(host: asker.Authority | None) -> bool:
        if public or host is None:
            return public
        shared = urlsplit(getattr(blocks, "share_url", None) or "").hostname
        named = any(
            host.name == name or (name[:1] == "." and host.name.endswith(name)) for name in (*given, shared or "")
        )
        return named or host.is_local or host.address is not None

    return answers_to


def is_public(server_name: str | None = None) -> bool:
    """Whether an app that is no Space listens to more than this machine."""
    name = server_name or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    listens = asker.authority(name if name.count(":") < 2 or name.startswith("[") else f"[{name}]")
    return listens is None or not listens.is_local or (listens.address is not None and listens.address.is_unspecified)


def _whole_body(receive: Receive) -> Receive:
    """A body that breaks off ends in the one error after which Gradio removes what it has written of a file."""
    is_over = False

    async def received() -> Message:
        nonlocal is_over
        message = await receive()
        if message["type"] == "http.disconnect" and not is_over:
            raise MultiPartException("The upload broke off.")
        is_over = is_over or not message.get("more_body", False)
        return message

    return received


def _heard(request: Request, scope: Scope) -> list[str]:
    """Keys by which somebody listens for as long as this request is open."""
    path = request.url.path
    _, _, rest = path.partition(API)
    if f"{TOOLS}/" in f"{path.rstrip('/')}/":
        return [_mark(request, scope)]
    if request.method != "GET":
        return []
    if rest.startswith("queue/data"):
        return [request.query_params.get("session_hash", "")]
    if rest.startswith("call/"):
        return [rest.rstrip("/").rpartition("/")[2]]
    return []


def _mark(request: Request, scope: Scope) -> str:
    """Add to the call of a tool who makes it, and a key of its own; Gradio hands all headers on to the job."""
    key = new_call()
    headers = [(name, value) for name, value in scope["headers"] if name != CALL_HEADER.encode()]
    headers.append((CALL_HEADER.encode(), key.encode()))
    if not on_space() and not asker.from_this_machine(request) and "x-forwarded-for" not in request.headers:
        headers.append((b"x-forwarded-for", (request.client.host if request.client else "unknown").encode()))
    scope["headers"] = headers
    return key

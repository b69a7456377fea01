"""The page's HTML as it leaves: with what other sites show of a link to it in place of Gradio's own, and compressed."""

from __future__ import annotations

import gzip
import re
from html import escape
from typing import TYPE_CHECKING

import gradio as gr
from gradio.route_utils import get_root_url
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse

from ddpo.diffusion.catalogue import ASSETS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PICTURE = ASSETS / "thumbnail.png"
PICTURE_SIZE = (1200, 630)
PATH = "/preview.png"
PACKING = 5  # of 9
_GRADIOS = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
_START = b'<meta charset="utf-8" />'


class Preview:
    """Middleware around the web application.

    Args:
        app: what it is put around.
        blocks: the page, for its title and the path at which a proxy serves it.
        sentence: what the page is.
    """

    def __init__(self, app: ASGIApp, blocks: gr.Blocks, sentence: str) -> None:
        self.app = app
        self.blocks = blocks
        self.sentence = sentence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return await self.app(scope, receive, send)
        request = Request(scope)
        if request.url.path.endswith(PATH) and PICTURE.exists():
            return await FileResponse(PICTURE)(scope, receive, send)
        if request.url.path.rstrip("/") in ("", scope.get("root_path", "").rstrip("/")):
            packs = "gzip" in request.headers.get("accept-encoding", "")
            send = _changing(send, self.tags(request).encode(), packs)
        return await self.app(scope, receive, send)

    def tags(self, request: Request) -> str:
        """The tags of the page's head, with the address by which it was asked for."""
        root = get_root_url(request, "/", self.blocks.root_path or request.scope.get("root_path"))
        title = self.blocks.title or ""
        width, height = PICTURE_SIZE
        properties = {
            "og:type": "website", "og:title": title, "og:description": self.sentence, "og:url": f"{root}/",
            "og:image": f"{root}{PATH}", "og:image:width": width, "og:image:height": height,
            "og:image:alt": f"{title}: the pictures of both models side by side",
        }  # fmt: skip
        lines = [f'<meta property="{name}" content="{escape(str(value))}">' for name, value in properties.items()]
        lines += [
            f'<meta name="{name}" content="{escape(value)}">'
            for name, value in (("description", self.sentence), ("twitter:card", "summary_large_image"))
        ]
        return "\n".join([*lines, '<link rel="icon" type="image/png" href="./favicon.ico">'])


def _changing(send: Send, tags: bytes, packs: bool) -> Send:
    """Sends a page of HTML with other tags in its head, and anything else as it comes.

    Args:
        send: what it is sent by.
        tags: of the head.
        packs: whether it is compressed, to a seventh; Gradio does so only with what has a file's ending in its address.
    """
    start: Message | None = None
    body = b""

    async def changed(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            if MutableHeaders(scope=message).get("content-type", "").startswith("text/html"):
                start = message
                return
            await send(message)
        elif start is None:
            await send(message)
        else:
            body += message.get("body", b"")
            if not message.get("more_body", False):
                page = _GRADIOS.sub(b"", body).replace(_START, _START + b"\n" + tags, 1)
                if body:  # HEAD has none
                    headers = MutableHeaders(scope=start)
                    if packs:
                        page = gzip.compress(page, PACKING)
                        headers["content-encoding"] = "gzip"
                    headers.add_vary_header("Accept-Encoding")
                    headers["content-length"] = str(len(page))
                await send(start)
                await send({"type": "http.response.body", "body": page})

    return changed

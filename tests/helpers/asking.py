"""Requests as they reach the app, without a network."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request


def request(peer: str | None = "127.0.0.1", host: str | None = "localhost:7860", **headers: str | list[str]) -> Request:
    found = [] if host is None else [(b"host", host.encode())]
    for name, value in headers.items():
        values = value if isinstance(value, list) else [value]
        found += [(name.replace("_", "-").encode(), text.encode()) for text in values]
    client = None if peer is None else (peer, 50000)
    return Request(
        {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": found, "client": client}
    )


HERE: Any = request()  # from the machine that runs the app; Gradio hands a class of its own over that wraps one

"""A reverse proxy that serves an app below a path, as nginx does with `location /studio/`."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.helpers.answering import answering

HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}  # headers that end at the proxy


@contextmanager
def proxied(app: str, path: str) -> Iterator[str]:
    """Serve an app below a path for the time of a with block, and nothing beside it.

    Args:
        app: address of the app.
        path: with a slash in front and none behind.
    """
    target = urlsplit(app).netloc

    class Handler(BaseHTTPRequestHandler):
        def _hand_on(self) -> None:
            if not self.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            connection = http.client.HTTPConnection(target, timeout=120)
            headers["X-Forwarded-For"] = "203.0.113.9"
            connection.request(self.command, self.path.removeprefix(path), body or None, headers)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.end_headers()  # the connection ends with the answer
            while piece := answer.read1(65536):
                self.wfile.write(piece)
                self.wfile.flush()
            connection.close()

        do_GET = do_POST = do_HEAD = _hand_on  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    with answering(Handler) as port:
        yield f"http://127.0.0.1:{port}{path}/"

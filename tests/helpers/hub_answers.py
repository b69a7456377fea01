"""How the stand-in for the Hub answers at all: routes, rights, and bytes that may break off."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from tests.helpers.hub_state import File, HubServer, Repository, Request

Routes = tuple[tuple[str, str, str], ...]  # verb, pattern of the path, name of the method that answers


class Failure(Exception):  # noqa: N818, it is an answer
    def __init__(self, status: int, code: str | None = None, message: str = "No", **headers: str) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, headers


class Answers(BaseHTTPRequestHandler):
    """Finds the method that answers a request; those that derive from it have the methods and their routes."""

    hub: HubServer
    protocol_version = "HTTP/1.1"
    ROUTES: ClassVar[Routes] = ()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the output of the tests clean."""

    def do_GET(self) -> None:
        self.answer("GET")

    def do_HEAD(self) -> None:
        self.answer("GET")

    def do_POST(self) -> None:
        self.answer("POST")

    def do_PUT(self) -> None:
        self.answer("PUT")

    def answer(self, method: str) -> None:
        body = self.body()
        origin = "cdn" if self.headers["Host"].startswith("localhost") else "hub"
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append(Request(self.command, self.path, origin, headers))
        try:
            self.route(method, body)
        except Failure as failure:
            headers = {"X-Error-Message": failure.message, **failure.headers}
            if failure.code:
                headers["X-Error-Code"] = failure.code
            self.send(failure.status, {"error": failure.message}, headers)

    def route(self, method: str, body: bytes) -> None:
        if self.hub.silent or (self.hub.silent_at and self.hub.silent_at in self.path):
            self.hub.let_go.wait(30)
            self.close_connection = True
            return None
        if self.hub.status == 429:
            raise Failure(429, message="Too many requests", RateLimit='"api";r=0;t=60')
        if self.hub.status:
            raise Failure(self.hub.status, message="Out of order")
        path = urlsplit(self.path).path
        for verb, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path) if verb == method else None
            if match is None:
                continue
            values: dict[str, Any] = {key: value and unquote(value) for key, value in match.groupdict().items()}
            new = self.hub.renamed.get(values.get("id") or "")
            if new:
                location = self.path.replace(values["id"], new, 1)
                return self.send(307, {"error": "moved"}, {"Location": location})
            values.update({"body": body} if verb != "GET" else {})
            return getattr(self, name)(**values)
        raise Failure(404, message="No such page")

    # Who may do what

    @property
    def user(self) -> str | None:
        return self.hub.user(self.headers["Authorization"])

    def find(self, id: str, revision: str, read: bool = True) -> tuple[Repository, str]:
        """A repository and a commit of it. Gates stand before the files only; what is private does not exist."""
        repository = self.hub.repositories.get(id)
        if self.headers["Authorization"] and self.user is None:
            raise Failure(401, message="Invalid credentials in Authorization header")
        if repository is None or (repository.private and self.user != id.partition("/")[0]):
            raise Failure(404 if self.user else 401, "RepoNotFound", "Repository not found")
        sha = repository.find(revision)
        if sha is None:
            raise Failure(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if read and repository.gated and self.user not in self.hub.granted:
            raise Failure(403 if self.user else 401, "GatedRepo", f"Access to model {id} is restricted.")
        return repository, sha

    def writer(self) -> str:
        if self.user is None:
            raise Failure(401, message="Invalid username or password.")
        return self.user

    def writable(self, id: str) -> Repository:
        self.writer()
        self.check_owner(id)
        return self.find(id, "main")[0]

    def check_owner(self, id: str) -> None:
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if self.hub.users.get(token) != id.partition("/")[0]:
            raise Failure(403, message=f"You don't have the rights to create a model under the namespace of {id}")

    # Bytes

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def transfer(self, file: File, headers: dict[str, str]) -> None:
        data, start = file.read(), 0
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match:
            start = int(match[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_response(206 if match else 200)
        sizes = {"ETag": f'"{file.etag}"', "Content-Length": str(len(data) - start)}
        for name, value in {"Content-Type": "application/octet-stream", **headers, **sizes}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.write(data[start:], file.large)

    def write(self, data: bytes, misbehave: bool) -> None:
        if misbehave and self.hub.break_after:
            self.wfile.write(data[: self.hub.break_after.pop(0)])
            self.close_connection = True
        elif misbehave and self.hub.hang_after is not None:
            self.wfile.write(data[: self.hub.hang_after])
            self.hub.hanging.set()
            self.hub.let_go.wait(30)
            self.close_connection = True
        else:
            self.wfile.write(data)

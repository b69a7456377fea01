"""What the stand-in for the Hub keeps: repositories with their commits, buckets, jobs, and how to misbehave."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

LARGE = 10_000_000  # bytes from which any file is a large one
LARGE_SUFFIXES = (".safetensors", ".bin", ".png")
NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
HARDWARE = [
    {
        "name": name, "prettyName": name, "cpu": "8 vCPU", "ram": "30 GB", "unitCostMicroUSD": cents * 10_000 // 60,
        "unitCostUSD": cents / 100 / 60, "unitLabel": "minute",
    }
    for name, cents in (("cpu-basic", 1), ("l4x1", 80), ("a10g-largex2", 300), ("l4x4", 380))
]  # fmt: skip


@dataclass
class File:
    """The content of a file, in memory or on disk."""

    content: bytes | Path
    large: bool = False

    def read(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.read()).hexdigest()

    @cached_property
    def git_sha1(self) -> str:
        return hashlib.sha1(b"blob %d\0" % self.size + self.read()).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.git_sha1


@dataclass
class Repository:
    """A model repository."""

    id: str
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, File]] = field(default_factory=dict)  # by hash
    refs: dict[str, str] = field(default_factory=dict)  # branches and tags
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, File], message: str, branch: str = "main") -> str:
        text = f"{self.id} {len(self.commits)} {sorted((path, file.etag) for path, file in files.items())}"
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = files
        self.refs[branch] = sha
        self.messages.append(message)
        return sha

    def find(self, revision: str) -> str | None:
        sha = self.refs.get(revision, revision)
        return sha if sha in self.commits else None

    def files(self, revision: str = "main") -> dict[str, File]:
        return self.commits[self.refs.get(revision, revision)]

    @property
    def card(self) -> dict[str, Any] | None:
        readme = self.files().get("README.md")
        return front_matter(readme.read().decode()) if readme else None


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    origin: str  # "hub", or "cdn" for the other origin, where large files lie
    headers: dict[str, str]


@dataclass
class HubServer:
    """The repositories, what was asked for, and the ways to misbehave."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)  # old id -> new id
    users: dict[str, str] = field(default_factory=dict)  # token -> user; may write to what is theirs
    readers: dict[str, str] = field(default_factory=dict)  # token -> user; may only read
    granted: set[str] = field(default_factory=set)  # users that the gates let in
    requests: list[Request] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)  # the bodies of the requests that started them
    hardware: list[dict[str, Any]] = field(default_factory=lambda: list(HARDWARE))  # that jobs may have
    refuse_jobs: tuple[int, str] | None = None  # with this status and message
    buckets: dict[str, bool] = field(default_factory=dict)  # id -> whether it is private
    bucket_folders: dict[str, Path] = field(default_factory=dict)  # id -> what is in it; as a job writes there
    bucket_page: int = 30  # entries in a page of what a bucket holds
    uploads: dict[str, bytes] = field(default_factory=dict)  # large files by sha256, committed or not
    status: int | None = None  # answer everything so: 429, 500, 503
    break_after: list[int] = field(default_factory=list)  # close the next transfers of large files after so many bytes
    hang_after: int | None = None  # send so many bytes of a large file, then nothing until `let_go`
    hanging: threading.Event = field(default_factory=threading.Event)  # a transfer hangs
    let_go: threading.Event = field(default_factory=threading.Event)
    silent: bool = False  # take requests and do not answer
    silent_at: str | None = None  # the same for paths that hold this
    fail_uploads: bool = False
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cdn(self) -> str:
        """The same server by another name, so that it is another origin for the client."""
        return f"http://localhost:{self.port}"

    def add(
        self, id: str, folder: Path, branch: str = "main", private: bool = False, gated: bool = False
    ) -> Repository:
        """Serve the files of a folder as a commit of a repository, which is made where it is missing."""
        repository = self.repositories.setdefault(id, Repository(id, private, gated))
        files = {
            path.relative_to(folder).as_posix(): File(path, is_large(path.name, path.stat().st_size))
            for path in folder.rglob("*")
            if path.is_file()
        }
        repository.commit(files, "Upload", branch)
        return repository

    def asked_for(self, text: str, method: str = "GET") -> list[Request]:
        return [request for request in self.requests if request.method == method and text in request.path]

    def user(self, authorization: str | None) -> str | None:
        token = (authorization or "").removeprefix("Bearer ")
        return self.users.get(token) or self.readers.get(token)


def is_large(name: str, size: int) -> bool:
    return name.endswith(LARGE_SUFFIXES) or size > LARGE


def front_matter(text: str) -> dict[str, Any] | None:
    match = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    content = yaml.safe_load(match[1]) if match else None
    return content if isinstance(content, dict) else None

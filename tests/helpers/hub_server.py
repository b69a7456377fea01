"""A small stand-in for the Hugging Face Hub, which speaks to huggingface_hub's own client.

It keeps repositories of models in memory, with branches and commits, and serves them under the Hub's paths and headers:
info, tree, files (large ones through a redirect to another origin, as the Hub does), creation, and commits with regular
and large files. Spaces are kept under "spaces/<id>". It also takes Jobs, which it does not run. It can be told to
misbehave: see the fields of `HubServer`. Xet, which has a protocol of its own, is neither advertised nor spoken, so
clients need HF_HUB_DISABLE_XET=1.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

LARGE = 10_000_000  # bytes from which any file is a large one
LARGE_SUFFIXES = (".safetensors", ".bin", ".png")
NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)


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


HARDWARE = [
    {
        "name": name, "prettyName": name, "cpu": "8 vCPU", "ram": "30 GB", "unitCostMicroUSD": cents * 10_000 // 60,
        "unitCostUSD": cents / 100 / 60, "unitLabel": "minute",
    }
    for name, cents in (("cpu-basic", 1), ("l4x1", 80), ("a10g-largex2", 300), ("l4x4", 380))
]  # fmt: skip


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


@contextmanager
def serving(hub: HubServer | None = None) -> Iterator[HubServer]:
    """Serve on a free port for the time of a with block."""
    hub = hub or HubServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.let_go.set()
        server.shutdown()
        server.server_close()


def use(hub: HubServer | str, cache: Path, patch: pytest.MonkeyPatch, offline: bool = False) -> None:
    """Have huggingface_hub in this process talk to a hub, with a cache of its own and nobody logged in.

    It reads its environment when it is imported, which in the test suite was long ago and offline, so what it read is
    replaced. That is quicker than a process of its own, with torch in it, for every test; that the variables
    themselves have this effect, a test in a process of its own shows.
    """
    from huggingface_hub import _tree_cache, constants
    from huggingface_hub.utils._http import close_session

    url = hub if isinstance(hub, str) else hub.url
    values = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_DISABLE_XET": True,
        "HF_TOKEN_PATH": str(cache / "no-token"),
    }
    for name, value in values.items():
        patch.setattr(constants, name, value)
    patch.setattr(_tree_cache, "_IN_MEMORY_TREE_CACHE", {})
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)
    close_session()


class _Failure(Exception):  # noqa: N818, it is an answer
    def __init__(self, status: int, code: str | None = None, message: str = "No", **headers: str) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, headers


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    ROUTES = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("POST", r"/api/repos/create", "create"),
        ("GET", r"/api/jobs/hardware", "hardware"),
        ("POST", r"/api/jobs/(?P<owner>[^/]+)", "start_job"),
        ("POST", r"/api/buckets/(?P<owner>[^/]+)/(?P<name>[^/]+)", "create_bucket"),
        ("GET", r"/api/buckets/(?P<bucket>[^/]+/[^/]+)", "bucket_info"),
        ("GET", r"/api/buckets/(?P<bucket>[^/]+/[^/]+)/tree(/(?P<prefix>.+))?", "bucket_tree"),
        ("POST", r"/api/buckets/(?P<bucket>[^/]+/[^/]+)/paths-info", "bucket_paths_info"),
        ("POST", r"/api/buckets/(?P<bucket>[^/]+/[^/]+)/batch", "bucket_batch"),
        ("GET", r"/buckets/(?P<bucket>[^/]+/[^/]+)/resolve/(?P<path>.+)", "bucket_file"),
        ("GET", r"/api/(models/)?(?P<id>(spaces/)?[^/]+/[^/]+)(/revision/(?P<revision>[^/]+))?", "info"),
        ("GET", r"/api/(models/)?(?P<id>(spaces/)?[^/]+/[^/]+)/tree/(?P<revision>[^/]+)", "tree"),
        ("POST", r"/api/models/(?P<id>[^/]+/[^/]+)/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", r"/api/models/(?P<id>[^/]+/[^/]+)/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", r"/(?P<id>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_put"),
        ("POST", r"/lfs/verify", "lfs_verify"),
        ("GET", r"/(?P<id>(spaces/)?[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
        ("GET", r"/cdn/(?P<id>(spaces/)?[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)", "content"),
    )

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
        except _Failure as failure:
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
            raise _Failure(429, message="Too many requests", RateLimit='"api";r=0;t=60')
        if self.hub.status:
            raise _Failure(self.hub.status, message="Out of order")
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
        raise _Failure(404, message="No such page")

    # What the Hub knows

    def whoami(self) -> None:
        user = self.user
        if user is None:
            raise _Failure(401, message="Invalid credentials in Authorization header")
        self.send(200, {"type": "user", "name": user, "orgs": []})

    def validate_yaml(self, body: bytes) -> None:
        facts = front_matter(json.loads(body)["content"])
        errors = []
        if facts is None:
            errors.append("the front matter is no YAML mapping")
        elif "base_model" in facts and not NAME.fullmatch(str(facts["base_model"])):
            errors.append('"base_model" with value is not valid. Use a model id from https://hf.co/models.')
        answer = {"errors": [{"message": error} for error in errors], "warnings": []}
        self.send(400 if errors else 200, answer)

    def info(self, id: str, revision: str | None) -> None:
        repository, sha = self.find(id, revision or "main", read=False)
        files = repository.commits[sha]
        self.send(
            200,
            {
                "_id": "1", "id": repository.id, "modelId": repository.id, "sha": sha, "private": repository.private,
                "gated": "auto" if repository.gated else False, "disabled": False, "tags": [], "downloads": 0,
                "siblings": [{"rfilename": path} for path in files], "cardData": repository.card,
            },
        )  # fmt: skip

    def tree(self, id: str, revision: str) -> None:
        repository, sha = self.find(id, revision, read=False)
        recursive = parse_qs(urlsplit(self.path).query).get("recursive") == ["true"]
        entries = []
        for path, file in repository.commits[sha].items():
            if "/" in path and not recursive:
                continue
            entry: dict[str, Any] = {"type": "file", "oid": file.git_sha1, "size": file.size, "path": path}
            if file.large:
                entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 135}
            entries.append(entry)
        self.send(200, entries)

    def resolve(self, id: str, revision: str, path: str) -> None:
        repository, sha = self.find(id, revision)
        file = repository.commits[sha].get(path)
        facts = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if file is None:
            raise _Failure(404, "EntryNotFound", "Entry not found", **facts)
        if file.large:
            facts |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
            location = f"{self.hub.cdn}/cdn/{repository.id}/{sha}/{path}"
            return self.send(302, {}, {**facts, "Location": location})
        return self.transfer(file, facts)

    def content(self, id: str, revision: str, path: str) -> None:
        self.transfer(self.hub.repositories[id].commits[revision][path], {"Accept-Ranges": "bytes"})

    # What is written to it

    def create(self, body: bytes) -> None:
        request = json.loads(body)
        user = self.writer()
        id = f"{request['organization'] or user}/{request['name']}"
        self.check_owner(id)
        if not NAME.fullmatch(id):
            raise _Failure(400, message="Invalid name")
        exists = id in self.hub.repositories
        if not exists:
            repository = Repository(id, private=request.get("visibility") == "private")
            repository.commit({".gitattributes": File(b"*.safetensors filter=lfs\n")}, "initial commit")
            self.hub.repositories[id] = repository
        self.send(409 if exists else 200, {"url": f"{self.hub.url}/{id}", "name": id, "id": id})

    def hardware(self) -> None:
        self.send(200, HARDWARE)

    def create_bucket(self, owner: str, name: str, body: bytes) -> None:
        id = f"{self.writer() if owner == 'me' else owner}/{name}"
        self.check_owner(id)
        exists = id in self.hub.buckets
        self.hub.buckets.setdefault(id, json.loads(body).get("visibility") == "private")
        self.send(409 if exists else 200, {"url": f"{self.hub.url}/buckets/{id}", "name": id, "id": id})

    # Buckets: the paths and answers that huggingface_hub 2.4 asks for and reads

    def bucket_info(self, bucket: str) -> None:
        files = [path for path in self.bucket(bucket).rglob("*") if path.is_file()]
        self.send(
            200,
            {
                "id": bucket, "private": self.hub.buckets[bucket], "createdAt": "2026-01-01T00:00:00.000Z",
                "size": sum(path.stat().st_size for path in files), "totalFiles": len(files),
            },
        )  # fmt: skip

    def bucket_tree(self, bucket: str, prefix: str | None) -> None:
        """In pages. A prefix is compared letter by letter, as the Hub does; without `recursive`, one level of it."""
        query = parse_qs(urlsplit(self.path).query)
        folder, prefix = self.bucket(bucket), prefix or ""
        files = [entry for entry in self.bucket_entries(folder) if entry["path"].startswith(prefix)]
        if query.get("recursive") != ["true"]:
            depth = prefix.count("/") + (1 if (folder / prefix).is_dir() and prefix else 0)
            shallow = [entry for entry in files if entry["path"].count("/") == depth]
            above = {"/".join(e["path"].split("/")[: depth + 1]) for e in files if e["path"].count("/") > depth}
            files = [*shallow, *({"type": "directory", "path": path} for path in sorted(above))]
        begin = int(query.get("cursor", ["0"])[0])
        end = begin + self.hub.bucket_page
        more = f"{self.hub.url}{urlsplit(self.path).path}?recursive={query.get('recursive', ['false'])[0]}&cursor={end}"
        self.send(200, files[begin:end], {"Link": f'<{more}>; rel="next"'} if end < len(files) else None)

    def bucket_paths_info(self, bucket: str, body: bytes) -> None:
        asked = json.loads(body)["paths"]
        self.send(200, [entry for entry in self.bucket_entries(self.bucket(bucket)) if entry["path"] in asked])

    def bucket_file(self, bucket: str, path: str) -> None:
        file = self.bucket(bucket) / path
        try:
            content = File(file.read_bytes())
        except OSError:
            raise _Failure(404, "EntryNotFound", "Entry not found") from None
        self.transfer(content, {"Accept-Ranges": "bytes"})

    def bucket_batch(self, bucket: str, body: bytes) -> None:
        """Copies only: what is uploaded goes through Xet, which is not spoken here."""
        folder = self.bucket(bucket)
        self.writer()
        self.check_owner(bucket)
        known = {entry["xetHash"]: entry["path"] for entry in self.bucket_entries(folder)}
        failed = []
        for line in body.splitlines():
            operation = json.loads(line)
            source = known.get(operation.get("xetHash"))
            if operation["type"] != "copyFile" or operation["sourceRepoId"] != bucket or source is None:
                failed.append({"path": operation["path"], "error": "no such object"})
                continue
            (folder / operation["path"]).write_bytes((folder / source).read_bytes())
        self.send(422 if failed else 200, {"success": not failed, "failed": failed})

    def bucket(self, id: str) -> Path:
        """The folder of a bucket; what is private does not exist for others."""
        if self.headers["Authorization"] and self.user is None:
            raise _Failure(401, message="Invalid credentials in Authorization header")
        if id not in self.hub.buckets or (self.hub.buckets[id] and self.user != id.partition("/")[0]):
            raise _Failure(404 if self.user else 401, "RepoNotFound", "Repository not found")
        return self.hub.bucket_folders[id]

    def bucket_entries(self, folder: Path) -> list[dict[str, Any]]:
        entries = []
        for path in sorted(folder.rglob("*")):
            try:
                content, changed = path.read_bytes() if path.is_file() else None, path.stat().st_mtime
            except OSError:
                continue  # gone in between
            if content is not None:
                when = datetime.fromtimestamp(changed, UTC).isoformat().replace("+00:00", "Z")
                entries.append(
                    {
                        "type": "file", "path": path.relative_to(folder).as_posix(), "size": len(content),
                        "xetHash": hashlib.sha256(content).hexdigest(), "mtime": when, "uploadedAt": when,
                    }
                )  # fmt: skip
        return entries

    def start_job(self, owner: str, body: bytes) -> None:
        if self.writer() != owner:
            raise _Failure(403, message=f"You cannot start jobs as {owner}")
        if self.hub.refuse_jobs is not None:
            raise _Failure(self.hub.refuse_jobs[0], message=self.hub.refuse_jobs[1])
        job = json.loads(body)
        self.hub.jobs.append(job)
        shown = {name: value for name, value in job.items() if name != "secrets"}
        who = {"id": "1", "name": owner, "type": "user"}
        self.send(
            200,
            {
                **shown, "id": f"{len(self.hub.jobs):024x}", "createdAt": "2026-01-01T00:00:00.000Z", "owner": who,
                "status": {"stage": "SCHEDULING", "message": None}, "secrets": list(job.get("secrets", {})),
            },
        )  # fmt: skip

    def preupload(self, id: str, revision: str, body: bytes) -> None:
        files = self.writable(id).files(revision)
        answers = []
        for asked in json.loads(body)["files"]:
            path, known = asked["path"], files.get(asked["path"])
            mode = "lfs" if is_large(path, asked["size"]) else "regular"
            oid = known.etag if known else None
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.send(200, {"files": answers})

    def lfs_batch(self, id: str, body: bytes) -> None:
        self.writable(id)
        objects = []
        for asked in json.loads(body)["objects"]:
            answer = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub.uploads:
                upload = {"href": f"{self.hub.cdn}/lfs/{asked['oid']}"}
                answer["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.url}/lfs/verify"}}
            objects.append(answer)
        self.send(200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"})

    def lfs_put(self, oid: str, body: bytes) -> None:
        if self.hub.fail_uploads or hashlib.sha256(body).hexdigest() != oid:
            raise _Failure(400, message="The content is another")
        self.hub.uploads[oid] = body
        self.send(200, {})

    def lfs_verify(self, body: bytes) -> None:
        asked = json.loads(body)
        if len(self.hub.uploads.get(asked["oid"], b"")) != asked["size"]:
            raise _Failure(404, message="Not uploaded")
        self.send(200, {})

    def commit(self, id: str, revision: str, body: bytes) -> None:
        repository = self.writable(id)
        files, message = dict(repository.files(revision)), ""
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            match operation["key"]:
                case "header":
                    message = value["summary"]
                case "file":
                    files[value["path"]] = File(base64.b64decode(value["content"]))
                case "lfsFile":
                    files[value["path"]] = File(self.hub.uploads[value["oid"]], large=True)
                case "deletedFile":
                    del files[value["path"]]
        sha = repository.commit(files, message, revision)
        url = f"{self.hub.url}/{id}/commit/{sha}"
        self.send(200, {"success": True, "commitOid": sha, "commitUrl": url, "pullRequestUrl": None})

    # Who may do what

    @property
    def user(self) -> str | None:
        return self.hub.user(self.headers["Authorization"])

    def find(self, id: str, revision: str, read: bool = True) -> tuple[Repository, str]:
        """A repository and a commit of it. Gates stand before the files only; what is private does not exist."""
        repository = self.hub.repositories.get(id)
        if self.headers["Authorization"] and self.user is None:
            raise _Failure(401, message="Invalid credentials in Authorization header")
        if repository is None or (repository.private and self.user != id.partition("/")[0]):
            raise _Failure(404 if self.user else 401, "RepoNotFound", "Repository not found")
        sha = repository.find(revision)
        if sha is None:
            raise _Failure(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if read and repository.gated and self.user not in self.hub.granted:
            raise _Failure(403 if self.user else 401, "GatedRepo", f"Access to model {id} is restricted.")
        return repository, sha

    def writer(self) -> str:
        if self.user is None:
            raise _Failure(401, message="Invalid username or password.")
        return self.user

    def writable(self, id: str) -> Repository:
        self.writer()
        self.check_owner(id)
        return self.find(id, "main")[0]

    def check_owner(self, id: str) -> None:
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if self.hub.users.get(token) != id.partition("/")[0]:
            raise _Failure(403, message=f"You don't have the rights to create a model under the namespace of {id}")

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

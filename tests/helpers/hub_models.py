"""Models and Spaces of the stand-in for the Hub: what is known of them, read from them and written to them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.helpers.hub_answers import Answers, Failure, Routes
from tests.helpers.hub_state import NAME, File, Repository, front_matter, is_large


class ModelAnswers(Answers):
    """Repositories, read and written."""

    ROUTES: ClassVar[Routes] = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("POST", r"/api/repos/create", "create"),
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

    def whoami(self) -> None:
        user = self.user
        if user is None:
            raise Failure(401, message="Invalid credentials in Authorization header")
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
            raise Failure(404, "EntryNotFound", "Entry not found", **facts)
        if file.large:
            facts |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
            location = f"{self.hub.cdn}/cdn/{repository.id}/{sha}/{path}"
            return self.send(302, {}, {**facts, "Location": location})
        return self.transfer(file, facts)

    def content(self, id: str, revision: str, path: str) -> None:
        self.transfer(self.hub.repositories[id].commits[revision][path], {"Accept-Ranges": "bytes"})

    def create(self, body: bytes) -> None:
        request = json.loads(body)
        user = self.writer()
        id = f"{request['organization'] or user}/{request['name']}"
        self.check_owner(id)
        if not NAME.fullmatch(id):
            raise Failure(400, message="Invalid name")
        exists = id in self.hub.repositories
        if not exists:
            repository = Repository(id, private=request.get("visibility") == "private")
            repository.commit({".gitattributes": File(b"*.safetensors filter=lfs\n")}, "initial commit")
            self.hub.repositories[id] = repository
        self.send(409 if exists else 200, {"url": f"{self.hub.url}/{id}", "name": id, "id": id})

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
            raise Failure(400, message="The content is another")
        self.hub.uploads[oid] = body
        self.send(200, {})

    def lfs_verify(self, body: bytes) -> None:
        asked = json.loads(body)
        if len(self.hub.uploads.get(asked["oid"], b"")) != asked["size"]:
            raise Failure(404, message="Not uploaded")
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

"""Jobs and storage buckets of the stand-in for the Hub, as huggingface_hub 2.4 asks for them and reads them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.helpers.hub_answers import Answers, Failure, Routes
from tests.helpers.hub_state import File


class BucketAnswers(Answers):
    """Buckets, and jobs that are taken and not run."""

    ROUTES: ClassVar[Routes] = (
        ("GET", r"/api/jobs/hardware", "hardware"),
        ("POST", r"/api/jobs/(?P<owner>[^/]+)", "start_job"),
        ("POST", r"/api/buckets/(?P<owner>[^/]+)/(?P<name>[^/]+)", "create_bucket"),
        ("GET", r"/api/buckets/(?P<bucket>[^/]+/[^/]+)", "bucket_info"),
        ("GET", r"/api/buckets/(?P<bucket>[^/]+/[^/]+)/tree(/(?P<prefix>.+))?", "bucket_tree"),
        ("POST", r"/api/buckets/(?P<bucket>[^/]+/[^/]+)/paths-info", "bucket_paths_info"),
        ("POST", r"/api/buckets/(?P<bucket>[^/]+/[^/]+)/batch", "bucket_batch"),
        ("GET", r"/buckets/(?P<bucket>[^/]+/[^/]+)/resolve/(?P<path>.+)", "bucket_file"),
    )

    def create_bucket(self, owner: str, name: str, body: bytes) -> None:
        id = f"{self.writer() if owner == 'me' else owner}/{name}"
        self.check_owner(id)
        exists = id in self.hub.buckets
        self.hub.buckets.setdefault(id, json.loads(body).get("visibility") == "private")
        self.send(409 if exists else 200, {"url": f"{self.hub.url}/buckets/{id}", "name": id, "id": id})

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
            raise Failure(404, "EntryNotFound", "Entry not found") from None
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
            raise Failure(401, message="Invalid credentials in Authorization header")
        if id not in self.hub.buckets or (self.hub.buckets[id] and self.user != id.partition("/")[0]):
            raise Failure(404 if self.user else 401, "RepoNotFound", "Repository not found")
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

    def hardware(self) -> None:
        self.send(200, self.hub.hardware)

    def start_job(self, owner: str, body: bytes) -> None:
        if self.writer() != owner:
            raise Failure(403, message=f"You cannot start jobs as {owner}")
        if self.hub.refuse_jobs is not None:
            raise Failure(self.hub.refuse_jobs[0], message=self.hub.refuse_jobs[1])
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

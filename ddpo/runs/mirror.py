"""The small files of the runs in a storage bucket, copied to this machine: enough to show the runs, not to go on.

The bucket is read through huggingface_hub's HfFileSystem, so it need not be mounted here
(https://huggingface.co/docs/huggingface_hub/guides/hf_file_system). A look lists the bucket and fetches what has
changed, by the hash that the Hub keeps of every object. Checkpoints and results stay where they are.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ddpo.common import leases
from ddpo.common.files import AHEAD, read_json, replacing, write_json
from ddpo.common.words import moment
from ddpo.errors import UserError
from ddpo.hub import client, ids, troubles

logger = logging.getLogger("ddpo.runs.mirror")

RUNS = "runs"  # folder of the runs in a bucket
INTERVAL = 4.0  # seconds, at the least, between the ends of a look at the bucket and the beginning of the next
SLOW = 15.0  # seconds after which a look counts as slow; the client tries again by itself for a minute
MOST_RUNS = 40  # the newest ones; as many as a page lists
MOST_BYTES = 8_000_000  # of a file; a grid has 0.3 MB at 256 x 256
_RUN_FILE = rf"(?:run|status|result|label)\.json(?:{re.escape(AHEAD)})?"
_LEASE = rf"{re.escape(leases.NAME)}(?:{re.escape(AHEAD)})?"
_GROWING = r"stop|metrics\.jsonl|metrics/[\d-]+\.jsonl|samples/\d+\.png"
_FILE = re.compile(rf"[A-Za-z0-9][\w.-]*/(?:{_RUN_FILE}|{_LEASE}|{_GROWING})")
_INDEX = ".index.json"
Stamp = list[Any]  # hash and size of an object


class Mirror:
    """A folder of copies; `refresh` brings it up to date behind the caller's back."""

    def __init__(self, bucket: str, folder: Path) -> None:
        """For the bucket "owner/name", copied into a folder that is made where it is missing."""
        self.bucket, self.folder = bucket, folder
        self._known, self.seen_at = self._read_index()
        self._trouble = ""
        self._busy, self._ended = threading.Lock(), float("-inf")
        self._begun = time.monotonic()

    @property
    def troubled(self) -> bool:
        """Whether the last look at the bucket failed, so that what is here may be old."""
        return bool(self._trouble)

    @property
    def sentence(self) -> str:
        """What the page says of it: which bucket is followed or, where the Hub fails, why and since when not."""
        slow = self._busy.locked() and time.monotonic() - self._begun > SLOW
        if slow and not self._trouble:
            return f"The Hugging Face Hub is slow to tell of the bucket {self.bucket}.{self._since()}"
        if not self._trouble:
            return f"Runs in the bucket {self.bucket} are followed."
        return f"{self._trouble}{self._since()}"

    def _since(self) -> str:
        return f" What is shown is from {moment(_iso(self.seen_at))}." if self.seen_at else ""

    def refresh(self, patience: float = 0.0) -> None:
        """Look at the bucket in a thread, where the last look is long enough ago; wait for it so many seconds."""
        if time.monotonic() - self._ended < INTERVAL or not self._busy.acquire(blocking=False):
            return
        self._begun = time.monotonic()
        thread = threading.Thread(target=self._look, name="mirror", daemon=True)
        thread.start()
        thread.join(patience)

    def ask_to_stop(self, run_id: str) -> None:
        """Put the request to stop into the bucket, beside a run: a copy of its run.json, as only the name counts.

        Raises:
            UserError: the Hub cannot be reached or refuses, or the run is gone.
        """
        from huggingface_hub import HfApi

        trouble = "the run was not asked to stop"
        api = HfApi(token=client.need_token(None, "stop a run"))
        place = f"{RUNS}/{run_id}"
        try:
            found = [file.xet_hash for file in api.get_bucket_paths_info(self.bucket, [f"{place}/run.json"])]
            if found:
                api.batch_bucket_files(self.bucket, copy=[("bucket", self.bucket, found[0], f"{place}/stop")])
        except Exception as error:  # whatever the network or the Hub comes up with
            if troubles.http_status(error) == 403:
                raise UserError(f"The token may not write to the bucket {self.bucket}, and {trouble}.") from error
            raise troubles.request_error(error, trouble) from error
        if not found:
            raise UserError(f"The run {run_id} is no longer in the bucket {self.bucket}, and {trouble}.")
        self._write(f"{run_id}/stop", b"stop\n")  # shown at once

    def _look(self) -> None:
        try:
            self._copy_changes()
            self._trouble = ""
        except UserError as error:
            self._trouble = str(error)
        except Exception as error:  # whatever the network, the Hub or this disk comes up with
            logger.info("The bucket %s could not be followed", self.bucket, exc_info=True)
            self._trouble = self._explain(error)
        finally:
            self._ended = time.monotonic()
            self._busy.release()

    def _explain(self, error: Exception) -> str:
        from huggingface_hub.errors import BucketNotFoundError

        if any(isinstance(cause, BucketNotFoundError) for cause in troubles.causes(error)):
            return f"There is no bucket {self.bucket} that you may see; check its name, or {troubles.LOG_IN}."
        if isinstance(error, OSError) and error.errno is not None and troubles.http_status(error) is None:
            return f"The copies of the bucket {self.bucket} could not be written to {self.folder} ({error.strerror})."
        return str(troubles.request_error(error, f"the bucket {self.bucket} cannot be followed"))

    def _copy_changes(self) -> None:
        begun = time.time()
        system = _file_system()
        listed = self._list(system)
        try:
            for path in sorted(listed, key=_turn):
                if self._known.get(path) != listed[path] or not (self.folder / path).exists():
                    self._fetch(system, path, listed[path])
            for path in {*self._known} - {*listed}:
                self._remove(path)
            for folder in self._run_folders() - {path.partition("/")[0] for path in listed}:
                shutil.rmtree(self.folder / folder, ignore_errors=True)
            self.seen_at = begun
        finally:  # what has come is kept
            write_json(self.folder / _INDEX, {"seen_at": self.seen_at, "files": self._known})

    def _list(self, system: Any) -> dict[str, Stamp]:
        """The files to copy, by their paths below the folder of runs."""
        root = f"buckets/{self.bucket}/{RUNS}"
        system.ls(f"buckets/{self.bucket}", refresh=True)  # raises where there is no such bucket; `find` does not
        found = system.find(root, detail=True, refresh=True)
        files = {name.removeprefix(f"{root}/"): facts for name, facts in found.items()}
        begun = {path.partition("/")[0]: str(facts["mtime"]) for path, facts in files.items() if _is_run(path)}
        newest = sorted(begun, key=lambda run: (begun[run], run), reverse=True)[:MOST_RUNS]
        return {
            path: [facts["xet_hash"], facts["size"]]
            for path, facts in files.items()
            if _FILE.fullmatch(path) and path.partition("/")[0] in newest and facts["size"] <= MOST_BYTES
        }

    def _fetch(self, system: Any, path: str, stamp: Stamp) -> None:
        name = f"buckets/{self.bucket}/{RUNS}/{path}"
        try:
            with system.open(name, "rb", block_size=0) as file:
                content = file.read()
        except Exception as error:
            if isinstance(error, FileNotFoundError) or troubles.http_status(error) == 404:
                return  # it has gone since it was listed
            raise
        self._write(path, content)
        self._known[path] = stamp

    def _write(self, path: str, content: bytes) -> None:
        with replacing(self.folder / path) as file:
            file.write(content)

    def _remove(self, path: str) -> None:
        self._known.pop(path, None)
        with suppress(FileNotFoundError):
            (self.folder / path).unlink()

    def _run_folders(self) -> set[str]:
        return {path.parent.name for path in self.folder.glob("*/run.json")}

    def _read_index(self) -> tuple[dict[str, Stamp], float | None]:
        try:
            found = read_json(self.folder / _INDEX)
            return dict(found["files"]), found["seen_at"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}, None


def check(bucket: str) -> str:
    """The name of a bucket as it was given; raises UserError where it cannot be one."""
    if ids.parse(bucket) is None or "@" in bucket:
        raise UserError(f"{bucket!r} cannot be the name of a storage bucket to follow; write DDPO_FOLLOW=owner/name.")
    return bucket


def _file_system() -> Any:
    """The Hub as a file system, that of whoever is logged in now; nothing is remembered from an earlier look."""
    from huggingface_hub import HfFileSystem, get_token

    client.limit_waiting()
    return HfFileSystem(token=get_token() or False, skip_instance_cache=True)


def _turn(path: str) -> tuple[int, str]:
    """Pictures and figures come before the status that tells of them, and what makes a folder a run comes last."""
    names: Iterable[str] = ("samples/", "metrics", "result.json", leases.NAME, "stop", "status.json", "run.json")
    rest = path.partition("/")[2]
    return next((turn for turn, name in enumerate(names) if rest.startswith(name)), 0), path


def _is_run(path: str) -> bool:
    return path.count("/") == 1 and path.endswith("/run.json")


def _iso(seconds: float | None) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds or 0.0, UTC).isoformat(timespec="milliseconds")

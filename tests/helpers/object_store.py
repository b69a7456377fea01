"""A storage bucket as a Space or a job sees it: an object store behind FUSE, which refuses and delays what a disk does.

The file system behaves as hf-mount does by default: a file is sent whole when it is closed, also by the kernel for a
process that was killed, so then torn; what is there can be written anew from its beginning, not changed. It can be told
to behave worse, see `Behaviour`. Nothing in it depends on the clock: what is late is so for a number of looks, what is
kept back is handed over when a test says so, and a process is killed at a change of its own that is chosen by number.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

PACKAGE = __name__.rpartition(".")[0]
ROOT = Path(__file__).resolve().parents[PACKAGE.count(".") + 1]
MOUNTING = 60  # seconds that it may take, on a busy machine


@dataclass(frozen=True)
class Behaviour:
    """What the file system refuses and delays."""

    refuses: tuple[str, ...] = ("append",)  # of append, rename, fsync and flock
    late: int = 0  # looks at a path, after it was written, renamed or removed, that show what was there before
    keeps_back: bool = False  # the bucket gets nothing until `hand_over`; what it has not is lost with a cut
    shares_locks: bool = False  # flock, where it is refused, is so by giving everybody the lock
    slow: float = 0.0  # seconds that closing and fsync take


@dataclass
class MountedBucket:
    """A mount and the store behind it."""

    folder: Path
    store: Path
    behaviour: Behaviour
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store.mkdir(parents=True, exist_ok=True)
        self.mount()

    def mount(self, behaviour: Behaviour | None = None) -> None:
        """Mount it, perhaps to behave in another way from now on."""
        self.behaviour = behaviour or self.behaviour
        told = json.dumps(asdict(self.behaviour))
        with self._log.open("wb") as log:  # not a pipe, which would fill up with nobody to read it
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{PACKAGE}.bucket_server", str(self.folder), str(self.store), told],
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + MOUNTING
        shown = str(self.folder).replace(" ", "\\040")
        while f" {shown} fuse" not in Path("/proc/mounts").read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                _do_without(self._log.read_text()[-300:])
            time.sleep(0.02)

    @property
    def _log(self) -> Path:
        return self.store.with_name(f"{self.store.name}.log")

    def fail_once(self, *patterns: str) -> None:
        """Have the next file that fits each of these patterns fail to be sent."""
        os.setxattr(self.folder, "user.fail", " ".join(patterns).encode())

    def lose_once(self, *patterns: str) -> None:
        """Have the next file that fits each of these patterns be lost after it was closed without an error."""
        os.setxattr(self.folder, "user.lose", " ".join(patterns).encode())

    def hand_over(self, count: int = 1 << 30) -> None:
        """Let the bucket get so many of the changes that were kept back, in the worst order: removals first."""
        os.setxattr(self.folder, "user.hand_over", str(count).encode())

    def cut(self) -> None:
        """End the file system at once: what it has kept back is lost."""
        self.process.kill()
        self.process.wait()
        self.unmount()

    def unmount(self) -> None:
        subprocess.run(["fusermount3", "-u", "-z", str(self.folder)], capture_output=True)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:  # somebody still has a file open there
                self.process.kill()
                self.process.wait()

    def check(self) -> None:
        """Raises where the file system itself went wrong."""
        assert "Traceback" not in (log := self._log.read_text()), log


def kill_at(folder: Path, change: int) -> None:
    """Have whoever makes the given change from now on, in the mount that a folder lies in, be killed by it."""
    os.setxattr(folder, "user.kill", str(change).encode())


def stop_at(folder: Path, pattern: str) -> None:
    """Have whoever puts a file that fits the pattern in its place, in the mount, be stopped there, until SIGCONT."""
    os.setxattr(folder, "user.stop", pattern.encode())


@contextmanager
def mounted_bucket(folder: Path, **behaviour: Any) -> Iterator[MountedBucket]:
    """A bucket mounted at folder/bucket; skips the test where the machine lets nothing be mounted.

    CI installs fusermount3, so what is lacking there is a failure, unless it is the kernel or a container that refuses.
    """
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this machine has no /dev/fuse that may be used")
    if shutil.which("fusermount3") is None:
        _do_without("fusermount3 is missing")
    bucket = MountedBucket(folder / "bucket", folder / "store", Behaviour(**behaviour))
    try:
        yield bucket
    finally:
        bucket.unmount()
    bucket.check()


def _do_without(reason: str) -> None:
    words = f"no FUSE file system can be mounted here: {reason.strip()}"
    refused = any(sign in reason for sign in ("Operation not permitted", "Permission denied"))
    if os.environ.get("CI") and not refused:
        pytest.fail(words)
    pytest.skip(words)

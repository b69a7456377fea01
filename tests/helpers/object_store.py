"""A storage bucket as a Space or a job sees it: an object store behind FUSE, which refuses and delays what a disk does.

The file system is a process of its own, over a folder that stands for the store itself. It behaves as hf-mount does by
default: a file is sent whole when it is closed, also by the kernel for a process that was killed, so then torn; what is
there can be written anew from its beginning, not changed. It can be told to behave worse: see `Behaviour`.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Behaviour:
    """What the file system refuses and delays."""

    refuses: tuple[str, ...] = ("append",)  # of append, rename, fsync and flock
    late: float = 0.0  # seconds until what was written, renamed or removed is seen
    kept_back: float = 0.0  # seconds until the store has it; what it has not is lost with the file system
    slow: float = 0.0  # seconds that closing, renaming and fsync take
    failing: float = 0.0  # share of the files that cannot be sent, so that closing them fails
    device: str = "hf-mount"


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
        command = [sys.executable, "-m", "tests.helpers.object_store", str(self.folder), str(self.store), told]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        shown = str(self.folder).replace(" ", "\\040")
        while f" {shown} fuse" not in Path("/proc/mounts").read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                _, said = self.process.communicate()
                pytest.skip(f"no FUSE file system can be mounted here: {said.decode().strip()[-200:]}")
            time.sleep(0.02)

    def cut(self) -> None:
        """End the file system at once: what it has kept back is lost."""
        self.process.kill()
        self.process.wait()
        self.unmount()

    def unmount(self) -> None:
        subprocess.run(["fusermount3", "-u", "-z", str(self.folder)], capture_output=True)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        if self.process.stderr is not None:
            self.process.stderr.close()


@contextmanager
def mounted_bucket(folder: Path, **behaviour: Any) -> Iterator[MountedBucket]:
    """A bucket mounted at folder/bucket; skips the test where nothing can be mounted, or where that was not asked for.

    What is killed and delayed there takes minutes, and a busy machine delays more than the tests mean to.
    """
    if os.environ.get("DDPO_TEST_BUCKETS") != "1":
        pytest.skip("buckets are mounted only where DDPO_TEST_BUCKETS=1 asks for it")
    if shutil.which("fusermount3") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no FUSE file system can be mounted here: fusermount3 or /dev/fuse is missing")
    bucket = MountedBucket(folder / "bucket", folder / "store", Behaviour(**behaviour))
    try:
        yield bucket
    finally:
        bucket.unmount()


# The file system, in its own process ----------------------------------------------------------------------------------


@dataclass
class _Handle:
    path: str
    content: bytearray
    dirty: bool = False


class _Store:
    """The objects as the mount knows them, and the folder that has them a little later."""

    def __init__(self, folder: Path, behaviour: Behaviour) -> None:
        self.folder, self.behaviour = folder, behaviour
        self.folders = {"/"} | {self._name(path) for path in folder.rglob("*") if path.is_dir()}
        self.objects = {self._name(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.times = dict.fromkeys([*self.folders, *self.objects], time.time())
        self.earlier: dict[str, tuple[float, bytes | None, float]] = {}  # until when something else is seen, and what
        self.waiting: list[tuple[float, Callable[[], None]]] = []  # what the store has not got yet
        self.lock = threading.RLock()
        if behaviour.kept_back:
            threading.Thread(target=self._hand_over, daemon=True).start()

    def _name(self, path: Path) -> str:
        return f"/{path.relative_to(self.folder).as_posix()}"

    def _hand_over(self) -> None:
        while True:
            time.sleep(0.02)
            while self.waiting and self.waiting[0][0] < time.monotonic():
                self.waiting.pop(0)[1]()

    def drain(self) -> None:
        """Hand over all at once, as at an orderly end."""
        with self.lock:
            for _, action in self.waiting:
                action()
            self.waiting.clear()

    def get(self, path: str) -> bytes | None:
        """What is seen at a path."""
        until, content, _ = self.earlier.get(path, (0.0, None, 0.0))
        return content if time.monotonic() < until else self.objects.get(path)

    def time(self, path: str) -> float:
        """When what is seen at a path was changed; the kernel keeps a content as long as this stays."""
        until, _, changed = self.earlier.get(path, (0.0, None, 0.0))
        return changed if time.monotonic() < until else self.times.get(path, 0.0)

    def set(self, path: str, content: bytes | None) -> None:
        """Put an object in its place, or take it away."""
        with self.lock:
            if self.behaviour.late:
                seen = self.get(path), self.time(path)
                self.earlier[path] = (time.monotonic() + self.behaviour.late, *seen)
            if content is None:
                self.objects.pop(path, None)
            else:
                self.objects[path] = content
            self.times[path] = time.time()
        self._later(lambda: self._put(path, content))

    def make_folder(self, path: str) -> None:
        self.folders.add(path)
        self.times[path] = time.time()
        self._later(lambda: (self.folder / path[1:]).mkdir(parents=True, exist_ok=True))

    def remove_folder(self, path: str) -> None:
        self.folders.discard(path)
        self._later(lambda: (self.folder / path[1:]).rmdir())

    def _later(self, action: Callable[[], None]) -> None:
        if self.behaviour.kept_back:
            with self.lock:
                self.waiting.append((time.monotonic() + self.behaviour.kept_back, action))
        else:
            action()

    def _put(self, path: str, content: bytes | None) -> None:
        place = self.folder / path[1:]
        if content is None:
            place.unlink(missing_ok=True)
            return
        part = self.folder.with_name(f"{self.folder.name}.{threading.get_ident()}")
        part.write_bytes(content)
        place.parent.mkdir(parents=True, exist_ok=True)
        part.replace(place)


def _serve(folder: str, store_folder: str, behaviour: Behaviour) -> None:
    import random

    from mfusepy import FUSE, FuseOSError, Operations

    store = _Store(Path(store_folder), behaviour)
    refuses, draw = behaviour.refuses, random.Random(0)

    class Bucket(Operations):
        use_ns = True

        def __init__(self) -> None:
            self.handles: dict[int, _Handle] = {}
            self.next = 1

        def _handle(self, path: str, content: bytes, dirty: bool) -> int:
            with store.lock:
                self.next += 1
                self.handles[self.next] = _Handle(path, bytearray(content), dirty)
                return self.next

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            times = {name: int(store.time(path) * 1e9) for name in ("st_mtime", "st_ctime", "st_atime")}
            if path in store.folders:
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2, **times}
            content: bytes | bytearray | None = store.get(path)
            if fh in self.handles:
                content = self.handles[fh].content
            if content is None:
                raise FuseOSError(errno.ENOENT)
            return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": len(content), **times}

        def readdir(self, path: str, fh: int) -> list[str]:
            above = path.rstrip("/") + "/"
            seen = [name for name in {*store.objects, *store.earlier} if store.get(name) is not None]
            inside = [name[len(above) :] for name in [*seen, *store.folders] if name.startswith(above)]
            return [".", "..", *{name for name in inside if name and "/" not in name}]

        def create(self, path: str, mode: int, fi: Any = None) -> int:
            with store.lock:
                store.objects.setdefault(path, b"")
                store.times[path] = time.time()
            return self._handle(path, b"", True)

        def open(self, path: str, flags: int) -> int:
            content = store.get(path)
            if content is None:
                raise FuseOSError(errno.ENOENT)
            writes = flags & os.O_ACCMODE != os.O_RDONLY
            if writes and not flags & os.O_TRUNC and "append" in refuses:
                raise FuseOSError(errno.EPERM)
            anew = bool(writes and flags & os.O_TRUNC)
            return self._handle(path, b"" if anew else content, anew)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return bytes(self.handles[fh].content[offset : offset + size])

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            handle = self.handles[fh]
            if "append" in refuses and offset != len(handle.content):
                raise FuseOSError(errno.EPERM)
            handle.content[offset : offset + len(data)] = data
            handle.dirty = True
            return len(data)

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            if fh in self.handles:
                del self.handles[fh].content[length:]
                self.handles[fh].dirty = True
            elif length == 0 or "append" not in refuses:
                store.set(path, (store.get(path) or b"")[:length])
            else:
                raise FuseOSError(errno.EPERM)
            return 0

        def flush(self, path: str, fh: int) -> int:
            handle = self.handles[fh]
            if handle.dirty:
                time.sleep(behaviour.slow)
                handle.dirty = False
                if draw.random() < behaviour.failing:
                    raise FuseOSError(errno.EIO)
                store.set(path, bytes(handle.content))
            return 0

        def release(self, path: str, fh: int) -> int:
            self.handles.pop(fh, None)
            return 0

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            time.sleep(behaviour.slow)
            if "fsync" in refuses:
                raise FuseOSError(errno.EIO)
            return 0

        def rename(self, old: str, new: str) -> int:
            time.sleep(behaviour.slow)
            if "rename" in refuses:
                raise FuseOSError(errno.EPERM)
            if old in store.folders:
                moved = [name for name in store.objects if name.startswith(f"{old}/")]
                store.make_folder(new)
                for name in sorted(name for name in store.folders if name.startswith(f"{old}/")):
                    store.make_folder(new + name[len(old) :])
                for name in moved:
                    self.rename(name, new + name[len(old) :])
                for name in sorted((n for n in store.folders if f"{n}/".startswith(f"{old}/")), reverse=True):
                    store.remove_folder(name)
                return 0
            content = store.get(old)
            if content is None:
                raise FuseOSError(errno.ENOENT)
            store.set(new, content)
            store.set(old, None)
            return 0

        def unlink(self, path: str) -> int:
            store.set(path, None)
            return 0

        def mkdir(self, path: str, mode: int) -> int:
            store.make_folder(path)
            return 0

        def rmdir(self, path: str) -> int:
            if len(self.readdir(path, 0)) > 2:
                raise FuseOSError(errno.ENOTEMPTY)
            store.remove_folder(path)
            return 0

        def chmod(self, path: str, mode: int) -> int:
            return 0

        def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
            return 0

        def destroy(self, path: str) -> None:
            store.drain()

    class BucketWithoutLocks(Bucket):
        def flock(self, path: str, fh: int, op: int) -> int:
            raise FuseOSError(errno.ENOTSUP)

    FUSE(
        BucketWithoutLocks() if "flock" in refuses else Bucket(), folder, foreground=True, fsname=behaviour.device,
        attr_timeout=0, entry_timeout=0, negative_timeout=0, auto_cache=True,
    )  # fmt: skip


if __name__ == "__main__":
    told = json.loads(sys.argv[3])
    _serve(sys.argv[1], sys.argv[2], Behaviour(**{**told, "refuses": tuple(told["refuses"])}))

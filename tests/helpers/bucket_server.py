"""The file system of `object_store.py`, served by a process of its own, which never touches its own mount.

It imports nothing of the tests, so that it starts in a moment. What the bucket holds lies in a folder, which the
stand-in for the Hub may read and write as well. Five attributes of any folder in the mount steer it:
`user.kill` = N kills whoever makes the N-th change from now on, `user.stop` = a pattern of paths stops (SIGSTOP) who
puts such a file in its place, `user.fail` = patterns, space between, has one file for each fail to be sent,
`user.lose` = likewise, but nobody is told, and `user.hand_over` = N hands over N changes that were kept back.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")

from mfusepy import FUSE, FuseOSError, Operations, fuse_get_context

from .bucket_store import ALL, Object, Store

BEGINNING = 0  # in nanoseconds: when a folder was changed; nothing here asks for more
ENDED_BY_SIGNAL = 8  # what libfuse then returns


@dataclass
class _Handle:
    path: str
    content: bytearray
    dirty: bool


class Bucket(Operations):
    """Answers the kernel, a request at a time; only what is slow lets others pass."""

    use_ns = True

    def __init__(self, store: Store, behaviour: Any) -> None:
        self.store, self.behaviour = store, behaviour
        self.handles: dict[int, _Handle] = {}
        self.last_handle = 0
        self.until_kill = 0
        self.stopping = ""
        self.failing: list[str] = []
        self.losing: list[str] = []
        self.mutex = threading.RLock()

    @contextmanager
    def changing(self, put: str = "", counts: bool = True) -> Iterator[None]:
        """A change, which is made in any case, and perhaps the last that somebody makes; `put` is now in its place."""
        with self.mutex:
            yield
            self.until_kill -= counts
            if counts and self.until_kill == 0:
                os.kill(fuse_get_context()[2], signal.SIGKILL)
            if self.stopping and fnmatch(put, self.stopping):
                self.stopping = ""
                os.kill(fuse_get_context()[2], signal.SIGSTOP)

    def refuse(self, what: str, number: int) -> None:
        if what in self.behaviour.refuses:
            raise FuseOSError(number)

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        with self.mutex:
            if name == "user.kill":
                self.until_kill = int(value)
            elif name == "user.stop":
                self.stopping = value.decode()
            elif name == "user.hand_over":
                self.store.hand_over(int(value))
            elif name == "user.fail":
                self.failing = value.decode().split()
            elif name == "user.lose":
                self.losing = value.decode().split()
            else:
                raise FuseOSError(errno.ENOTSUP)
        return 0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        with self.mutex:
            if self.store.is_folder(path):
                return _facts(stat.S_IFDIR | 0o755, 0, BEGINNING)
            found = self.store.look(path)
            if fh in self.handles:
                found = Object(bytes(self.handles[fh].content), found.changed if found else BEGINNING)
            if found is None:
                raise FuseOSError(errno.ENOENT)
            return _facts(stat.S_IFREG | 0o644, len(found.content), found.changed)

    def readdir(self, path: str, fh: int) -> list[str]:
        with self.mutex:
            return [".", "..", *self.store.names(path)]

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        with self.changing():
            self.store.create(path)
            return self._open(path, b"", True)

    def open(self, path: str, flags: int) -> int:
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        with self.changing() if writes else self.mutex:
            found = self.store.look(path)
            if found is None:
                raise FuseOSError(errno.ENOENT)
            if writes and not flags & os.O_TRUNC:
                self.refuse("append", errno.EPERM)
            anew = bool(writes and flags & os.O_TRUNC)
            return self._open(path, b"" if anew else found.content, anew)

    def _open(self, path: str, content: bytes, dirty: bool) -> int:
        self.last_handle += 1
        self.handles[self.last_handle] = _Handle(path, bytearray(content), dirty)
        return self.last_handle

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        with self.mutex:
            return bytes(self.handles[fh].content[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        handle = self.handles[fh]
        with self.changing(counts=not handle.content):  # of many writes the first stands for all
            if offset != len(handle.content):
                self.refuse("append", errno.EPERM)
            handle.content[offset : offset + len(data)] = data
            handle.dirty = True
            return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        with self.changing():
            if fh in self.handles:
                del self.handles[fh].content[length:]
                self.handles[fh].dirty = True
                return 0
            if length:
                self.refuse("append", errno.EPERM)
            found = self.store.look(path)
            self.store.put(path, found.content[:length] if found else b"")
            return 0

    def flush(self, path: str, fh: int) -> int:
        if not self.handles[fh].dirty:
            return 0
        time.sleep(self.behaviour.slow)
        with self.changing(path):
            handle = self.handles[fh]
            handle.dirty = False
            if _takes(self.failing, path):
                raise FuseOSError(errno.EIO)
            if _takes(self.losing, path):
                return 0
            self.store.put(path, bytes(handle.content))
        return 0

    def release(self, path: str, fh: int) -> int:
        with self.mutex:
            self.handles.pop(fh, None)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        time.sleep(self.behaviour.slow)
        self.refuse("fsync", errno.EIO)
        return 0

    def rename(self, old: str, new: str) -> int:
        self.refuse("rename", errno.EPERM)
        with self.changing(new):
            if self.store.is_folder(old):  # which is none of its objects' business
                (self.store.folder / old[1:]).rename(self.store.folder / new[1:])
                return 0
            found = self.store.look(old)
            if found is None:
                raise FuseOSError(errno.ENOENT)
            self.store.put(new, found.content)
            self.store.put(old, None)
        return 0

    def unlink(self, path: str) -> int:
        with self.changing():
            self.store.put(path, None)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        with self.changing():
            (self.store.folder / path[1:]).mkdir(parents=True, exist_ok=True)
        return 0

    def rmdir(self, path: str) -> int:
        with self.changing():
            if self.store.names(path):
                raise FuseOSError(errno.ENOTEMPTY)
            with suppress(OSError):  # the bucket still holds what is gone here
                (self.store.folder / path[1:]).rmdir()
        return 0

    def chmod(self, path: str, mode: int) -> int:
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        return 0

    def destroy(self, path: str) -> None:
        self.store.hand_over(ALL)  # at an orderly end


class BucketWithoutLocks(Bucket):
    """Refuses flock, which the kernel does by itself where it is left out."""

    def flock(self, path: str, fh: int, op: int) -> int:
        raise FuseOSError(errno.ENOTSUP)


class BucketWithSharedLocks(Bucket):
    """Gives everybody the same lock."""

    def flock(self, path: str, fh: int, op: int) -> int:
        return 0


def _takes(patterns: list[str], path: str) -> bool:
    """Whether one of the patterns fits, which is used up by that."""
    found = next((pattern for pattern in patterns if fnmatch(path, pattern)), None)
    if found is not None:
        patterns.remove(found)
    return found is not None


def _facts(mode: int, size: int, changed: int) -> dict[str, Any]:
    times = dict.fromkeys(("st_mtime", "st_ctime", "st_atime"), changed)
    return {"st_mode": mode, "st_nlink": 1 if stat.S_ISREG(mode) else 2, "st_size": size, **times}


def main(folder: str, store_folder: str, told: str) -> None:
    """Mount the folder and serve it until it is unmounted."""
    behaviour = SimpleNamespace(**json.loads(told))
    store = Store(Path(store_folder), behaviour.late, behaviour.keeps_back)
    kind = Bucket
    if "flock" in behaviour.refuses:
        kind = BucketWithSharedLocks if behaviour.shares_locks else BucketWithoutLocks
    try:
        FUSE(
            kind(store, behaviour), folder, foreground=True, fsname="hf-mount",
            attr_timeout=0, entry_timeout=0, negative_timeout=0, auto_cache=True,
        )  # fmt: skip
    except RuntimeError as error:
        if error.args != (ENDED_BY_SIGNAL,):
            raise


if __name__ == "__main__":
    main(*sys.argv[1:])

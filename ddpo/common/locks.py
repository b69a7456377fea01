"""A lock file that vanishes with the process that holds it, and tells who that is."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from ddpo.common.files import json_bytes

PATIENCE = 0.5  # seconds; `holder` takes the lock for an instant too
_held: set[int] = set()


def _forget_in_child() -> None:
    """A fork would hold the lock on, through its copies of the handles, after the process that took it is gone."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


def acquire(path: Path, facts: dict[str, Any]) -> int:
    """Take the lock and write the facts into it. Returns the handle for `release`.

    Raises:
        BlockingIOError: it is held, by this process or another.
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(handle)
        content = json_bytes(facts)
        os.pwrite(handle, content, 0)
        os.ftruncate(handle, len(content))
    except BaseException:
        os.close(handle)
        raise
    _held.add(handle)
    return handle


def _lock(handle: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def release(handle: int) -> None:
    """Give the lock back."""
    _held.discard(handle)
    os.ftruncate(handle, 0)
    fcntl.flock(handle, fcntl.LOCK_UN)  # a fork that has only just begun may still have its copy
    os.close(handle)


def holder(path: Path) -> dict[str, Any] | None:
    """The facts of whoever holds the lock, {} where they are still being written, None where nobody holds it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _facts(os.pread(handle, 1 << 16, 0))
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(handle)


def _facts(content: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(content)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}

"""Processes of ours that compute on the same cores at the same time, such as the app while a run trains.

Each says so by a lock in a folder for temporary files, which goes with the process. While there are others, the threads
of a process sleep almost at once where they wait for each other, rather than spin and hold the core up.

libgomp has no call for that, but a rule: where it manages more threads than there are cores, they spin for 100 rounds
(https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html). So a few threads more are made, which sleep. How many
threads compute stays the same, and with it every rounded digit of what they compute.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ddpo.common import locks, threads
from ddpo.common.machine import has_gpu, host_cores

POLL = 0.1  # seconds between two looks for others
FORGOTTEN = 60.0  # seconds after which the file of a process that is gone is removed


@contextmanager
def computing() -> Iterator[None]:
    """A block that computes on the processor: others know of it, and this process makes room for them."""
    if has_gpu():
        yield
        return
    _presence.begin()
    try:
        yield
    finally:
        _presence.end()


def others() -> bool:
    """Whether another process computes, those aside that this one trains together with."""
    found = False
    with suppress(OSError):
        for path in _folder().iterdir():
            if path.name == str(os.getpid()):
                continue
            facts = locks.holder(path)
            found |= facts is not None and facts.get("group") != _group()
            if facts is None and time.time() - path.stat().st_mtime > FORGOTTEN:
                path.unlink()
    return found


@contextmanager
def yielding() -> Iterator[None]:
    """A block in which threads that wait sleep almost at once; without effect where libgomp is not loaded."""
    library = _libgomp()
    if library is None or threads_of_a_team() == 1:
        yield
        return
    asleep, over = threading.Event(), threading.Event()
    sleeper = threading.Thread(target=_sleep, args=(library, asleep, over), daemon=True)
    sleeper.start()
    asleep.wait()
    try:
        yield
    finally:
        over.set()
        sleeper.join()


def threads_of_a_team() -> int:
    """How many threads compute together; 1 where libgomp is not loaded."""
    library = _libgomp()
    return 1 if library is None else int(library.omp_get_max_threads())


def _sleep(library: ctypes.CDLL, asleep: threading.Event, over: threading.Event) -> None:
    """Be a team of more threads than there are cores until it is over; it has nothing to do."""
    nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # free(NULL)
    try:
        library.GOMP_parallel(nothing, None, ctypes.c_uint(host_cores() + 1), ctypes.c_uint(0))
    finally:
        asleep.set()
    over.wait()


def _libgomp() -> ctypes.CDLL | None:
    """The libgomp that this process has loaded; torch brings its own, and other packages may bring theirs."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    paths = {line.split(maxsplit=5)[5] for line in lines if "/libgomp" in line}
    return ctypes.CDLL(max(paths, key=lambda path: "/torch/" in path)) if paths else None


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"ddpo-computing-{os.getuid()}"


def _group() -> str:
    """What the processes of one torchrun have in common; they share the cores out among themselves."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    return str(os.getpid())


class _Presence:
    """That this process computes, told to others for as long as one of its blocks lasts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._handle: int | None = None
        self._over = threading.Event()

    def begin(self) -> None:
        """A block more."""
        with self._lock:
            self._blocks += 1
            if self._blocks > 1:
                return
            self._over = threading.Event()
            with suppress(OSError):  # without a place to tell it, one computes all the same
                _folder().mkdir(mode=0o700, exist_ok=True)
                self._handle = locks.acquire(_folder() / str(os.getpid()), {"group": _group()})
            if threads.waiting_is_ours():
                threading.Thread(target=_make_room, args=(self._over,), name="company", daemon=True).start()

    def end(self) -> None:
        """A block less."""
        with self._lock:
            self._blocks = max(0, self._blocks - 1)
            if self._blocks:
                return
            self._over.set()
            if self._handle is not None:
                (_folder() / str(os.getpid())).unlink(missing_ok=True)
                locks.release(self._handle)
                self._handle = None


def _make_room(over: threading.Event) -> None:
    """Yield to others while there are any."""
    pause = 0.0
    while not over.wait(pause):
        pause = POLL
        if others():
            with yielding():
                while not over.wait(POLL) and others():
                    pass


_presence = _Presence()


def _forget_in_child() -> None:
    """A fork has neither the thread that watches nor the lock."""
    global _presence
    _presence = _Presence()


os.register_at_fork(after_in_child=_forget_in_child)

"""A lease: a file that its holder renews, in place of a lock, where a lock is not known to everybody.

It keeps apart the processes of one mount, and those of two mounts that do not begin in the same seconds. An object
store has nothing that does more: the last writer wins, so the other one finds out when it renews, and stops.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ddpo.common.files import AHEAD, read_json, write_json
from ddpo.common.storage import Storage, confirm
from ddpo.common.words import is_finite
from ddpo.errors import UserError

LIFE = 60.0  # seconds after a renewal during which it holds; more than clocks differ and mounts lag by
BEAT = 10.0  # seconds between two renewals
SETTLE = 1.0  # seconds, at the least, before a new lease is looked at again
NAME = ".lease"


class Taken(Exception):  # noqa: N818, it is no error but a state
    """Another process holds the lease."""


class LeaseLost(UserError):  # noqa: N818, it is no error of the user's
    """Another process has taken the right to train, or this one could not keep it."""


class Lease:
    """The right to train a run, kept until `release`."""

    def __init__(self, folder: Path, facts: dict[str, Any], storage: Storage) -> None:
        """Take it, and renew it from now on.

        Raises:
            Taken: another process holds it.
            OSError: the file cannot be written, or does not come to be seen.
        """
        self._path, self._storage = folder / NAME, storage
        self._facts = {**facts, "token": secrets.token_hex(8), **_process()}
        self._lost: str | None = None
        self._ended = threading.Event()
        self._take()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def _take(self) -> None:
        if holder(self._path.parent) is not None:
            raise Taken
        begun = time.monotonic()
        self._write()
        # Whoever wrote at the same moment has been heard of after twice the time that this took.
        time.sleep(max(SETTLE, 2 * (time.monotonic() - begun)))
        confirm(self._path, self._is_mine)

    def _is_mine(self) -> bool:
        """Whether the file names this process; where it still shows one that is gone, it is to be looked at again."""
        found = _read(self._path)
        if self._is_another(found) and _holds(found):
            raise Taken
        return bool(found) and not self._is_another(found)

    def check(self) -> None:
        """Raises LeaseLost where the right to train is another's now; nothing may be written any more."""
        if self._lost is not None:
            raise LeaseLost(self._lost)

    def release(self) -> None:
        """Give it back."""
        self._ended.set()
        self._thread.join()
        if self._lost is None:
            for path in (self._path.with_name(NAME + AHEAD), self._path):
                with suppress(OSError):
                    path.unlink()

    def _keep(self) -> None:
        renewed = time.monotonic()
        while self._lost is None and not self._ended.wait(BEAT):
            try:
                self._renew()
                renewed = time.monotonic()
            except OSError as error:
                if time.monotonic() - renewed > LIFE:
                    self._lost = f"The right to train could not be renewed in {self._path.parent} ({error.strerror})."

    def _renew(self) -> None:
        found = _read(self._path)
        if self._is_another(found) and _holds(found):
            self._lost = f"The run {found.get('id')} is being trained by another process now, and this one stops."
        else:
            self._write()

    def _is_another(self, found: dict[str, Any]) -> bool:
        return bool(found) and found.get("token") != self._facts["token"]

    def _write(self) -> None:
        write_json(self._path, {**self._facts, "renewed": time.time()}, storage=self._storage, confirmed=False)


def holder(folder: Path, now: float | None = None) -> dict[str, Any] | None:
    """The facts of whoever holds the lease of a run folder, now or when a copy of it was made; None: nobody."""
    found = _read(folder / NAME)
    return found if _holds(found, now) else None


def is_here(found: dict[str, Any] | None) -> bool:
    """Whether a lease is held by a process of this machine."""
    return found is not None and found.get("machine") == _machine()


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def _holds(found: dict[str, Any], now: float | None = None) -> bool:
    """Whether a lease has been renewed in time, by a process that is not known to be gone."""
    renewed = found.get("renewed")
    if not is_finite(renewed) or abs((time.time() if now is None else now) - float(renewed)) > LIFE:  # type: ignore[arg-type]
        return False
    return not _is_gone(found)


def _is_gone(found: dict[str, Any]) -> bool:
    """Whether it was a process of this very machine and container, and ended without giving the lease back."""
    here = _process()
    if found.get("machine") != here["machine"] or not isinstance(found.get("process"), int):
        return False
    return _begun(found["process"]) != found.get("begun")


def _process() -> dict[str, Any]:
    """What tells this process from any other: numbers of processes mean something within one container only."""
    return {"machine": _machine(), "process": os.getpid(), "begun": _begun(os.getpid())}


def _machine() -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _begun(process: int) -> str | None:
    """When a process began, as the system counts; None where there is none, or it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None

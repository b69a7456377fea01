"""The right to begin a run, and that to train it, for who needs them. Nothing that is slow is imported here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ddpo.common import locks
from ddpo.common.files import storage_error
from ddpo.common.leases import Lease
from ddpo.common.storage import storage_of
from ddpo.errors import Busy, UserError
from ddpo.runs.folder import Run
from ddpo.runs.store import training_lock

BEGINNING = 20.0  # seconds that another app may take to begin a run


@contextmanager
def right_to_begin(root: Path) -> Iterator[None]:
    """Hold the right to begin a run in a folder, so that apps which share it do so one after the other.

    Where locks are no good there is no such order, and the second process that trains stops by itself.

    Raises:
        Busy: another app has been beginning one for BEGINNING seconds.
        UserError: the disk refuses.
    """
    handle: int | None = None
    deadline = time.monotonic() + BEGINNING
    try:
        while handle is None and not storage_of(root).uses_leases:
            with suppress(BlockingIOError):
                handle = locks.acquire(root / ".begin", {"pid": os.getpid()})
            if handle is None and time.monotonic() > deadline:
                raise Busy("Another run is being started; try again in a moment.")
    except OSError as error:
        raise storage_error(error, root, "The run") from error
    try:
        yield
    finally:
        if handle is not None:
            locks.release(handle)


@contextmanager
def right_to_train(run: Run) -> Iterator[Lease | None]:
    """As `training_lock`; a run whose lock the disk refuses does not stay "starting", but says why."""
    with ExitStack() as held:
        try:
            lease = held.enter_context(training_lock(run.root, run))
        except Busy:
            raise
        except UserError as error:
            with suppress(OSError, UserError):
                run.write_status(state="failed", error=str(error), seconds_left=None)
            raise
        yield lease

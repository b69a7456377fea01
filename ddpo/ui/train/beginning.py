"""Where runs begin: at once, or in a thread of this process when those before them are done."""

from __future__ import annotations

import logging
import time
from contextvars import Context, copy_context
from pathlib import Path
from threading import Lock, Thread

from ddpo.common.machine import on_zero_gpu
from ddpo.errors import Busy, UserError
from ddpo.runs import waiting
from ddpo.runs.rights import right_to_begin
from ddpo.runs.store import Run, check_idle, list_runs, start_process
from ddpo.ui.space import slices

logger = logging.getLogger("ddpo.ui")

INTERVAL = 2.0  # seconds between two looks whether the next one may begin
_lock = Lock()
_watched: set[Path] = set()  # folders of runs of which a thread begins what waits there
_visitors: dict[str, Context] = {}  # of runs that wait; ZeroGPU knows by it whose quota it is


def begin(run: Run, budget: float | None) -> None:
    """In a process of its own, or on ZeroGPU, where no process has a GPU for long, in slices.

    Raises:
        Busy: another run trains.
        UserError: the disk refuses, or the base has other weights by now.
    """
    waiting.forget(run)
    if on_zero_gpu():
        slices.start(run, budget)
    else:
        start_process(run, budget)


def enqueue(run: Run, budget: float | None) -> None:
    """Have a run wait for its turn; raises as `waiting.enqueue` does."""
    waiting.enqueue(run, budget)
    _visitors[run.id] = copy_context()
    watch(run.root)


def watch(root: Path) -> None:
    """See to it that what waits in a folder begins in its turn, also what waited before this process was there."""
    with _lock:
        if root in _watched or not waiting.queued(list_runs(root)):
            return
        _watched.add(root)
    Thread(target=_in_turns, args=(root,), name="queue of runs", daemon=True).start()


def _in_turns(root: Path) -> None:
    while _begin_next(root):
        time.sleep(INTERVAL)


def _begin_next(root: Path) -> bool:
    """Begin the next run if nothing trains; returns whether the folder is still to be watched."""
    try:
        with right_to_begin(root):
            check_idle(root)
            if runs := waiting.queued(list_runs(root)):
                _begin(runs[0])
    except Busy:
        return True
    except Exception:  # the disk, which may be well again later
        logger.exception("The queue of runs in %s is held up", root)
    with _lock:
        if waiting.queued(list_runs(root)):
            return True
        _watched.discard(root)
    return False


def _begin(run: Run) -> None:
    logger.info("It is the turn of the run %s", run.id)
    try:
        _visitors.pop(run.id, copy_context()).run(begin, run, waiting.time_budget(run))
    except Busy:
        raise
    except UserError as error:
        waiting.forget(run)
        run.write_status(state="failed", error=str(error))

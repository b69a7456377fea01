"""Runs that wait until others have trained: in which order they go, and when each is likely to start.

Whoever serves the page begins the next one, see `ddpo/ui/train/beginning.py`. Nothing that is slow is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ddpo.common.files import read_json, storage_error, write_json
from ddpo.common.words import is_finite
from ddpo.diffusion.network import read_network
from ddpo.errors import Busy, UserError
from ddpo.runs.estimate import estimate
from ddpo.runs.folder import Run
from ddpo.runs.store import current_run, list_runs

FILE = "queue.json"  # in the folder of a run that waits
MOST = 20  # runs that wait
LEFT = "It was taken out of the queue before its turn."


@dataclass(frozen=True)
class Turn:
    """The place of a run that waits."""

    place: int  # 1: the next
    seconds: float | None  # until it is likely to start; None: that of a run before it is not known


def enqueue(run: Run, time_budget: float | None) -> None:
    """Have a run wait for its turn.

    Args:
        run: one that does not train.
        time_budget: seconds that it may then train; None: no limit.

    Raises:
        Busy: too many wait.
        UserError: the disk refuses.
    """
    check_free(list_runs(run.root))
    facts = {"since": datetime.now(UTC).isoformat(), "time_budget": time_budget}
    try:
        write_json(run.folder / FILE, facts, storage=run.storage)
    except OSError as error:
        raise storage_error(error, run.folder, "The place in the queue") from error
    run.clear_stop()
    run.write_status(state="queued", error=None, notice=None, seconds_left=None)


def check_free(runs: Sequence[Run]) -> None:
    """Raises Busy where too many wait already."""
    if len(queued(runs)) >= MOST:
        raise Busy(f"{MOST} runs wait already, and no more may; take one out of the queue, or wait.")


def leave(run: Run) -> None:
    """Take a run out of the queue; raises UserError where the disk refuses."""
    run.write_status(state="stopped", notice=LEFT)
    forget(run)


def forget(run: Run) -> None:
    """A run waits no more."""
    with suppress(OSError):
        (run.folder / FILE).unlink(missing_ok=True)


def queued(runs: Sequence[Run]) -> list[Run]:
    """Those that wait, the next one first."""
    waiting = [run for run in runs if run.stored_status().state == "queued"]
    return sorted(waiting, key=lambda run: (str(_facts(run).get("since", run.created)), run.id))


def time_budget(run: Run) -> float | None:
    """Seconds that a run which waits may train; None: no limit."""
    seconds = _facts(run).get("time_budget")
    return float(seconds) if is_finite(seconds) and seconds is not None and seconds > 0 else None


def turn(run: Run) -> Turn:
    """When a run that waits is likely to start."""
    runs = list_runs(run.root)
    waiting = queued(runs)
    place = next((place for place, other in enumerate(waiting) if other.id == run.id), 0)
    training = current_run(run.root)
    parts = [] if training is None else [_rest(training, runs)]
    parts += [_whole(other, runs) for other in waiting[:place]]
    known = [part for part in parts if part is not None]
    return Turn(place + 1, sum(known) if len(known) == len(parts) else None)


def _rest(run: Run, runs: Sequence[Run]) -> float | None:
    """Seconds that the run which trains still needs."""
    status = run.status()
    if status.seconds_left is not None:
        return status.seconds_left
    whole = _estimated(run, runs)
    return None if whole is None else max(0.0, whole - status.seconds)


def _whole(run: Run, runs: Sequence[Run]) -> float | None:
    """Seconds that a run which waits will take of the others' time."""
    whole, budget = _estimated(run, runs), time_budget(run)
    if whole is None:
        return budget
    left = max(0.0, whole - run.stored_status().seconds)
    return left if budget is None else min(left, budget)


def _estimated(run: Run, runs: Sequence[Run]) -> float | None:
    try:
        return estimate(run.spec.config, read_network(run.spec.base), run.spec.base, runs).seconds
    except UserError:  # such as a base that is gone; its turn is over at once
        return 0.0


def _facts(run: Run) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return read_json(run.folder / FILE)
    return {}

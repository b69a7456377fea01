"""Training on ZeroGPU: in slices, each of which borrows the GPU, goes on from the last checkpoint and ends with one.

The slices follow each other on a thread of the app, whichever page is open. When the app ends, the run is interrupted,
and is resumed like any other.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Sequence
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from ddpo.common.leases import Lease
from ddpo.common.lent_gpu import MEGABYTES_READ, SECONDS_TO_BEGIN
from ddpo.diffusion.network import read_network
from ddpo.errors import Busy, UserError
from ddpo.runs.estimate import weights_megabytes
from ddpo.runs.gpu_plan import RunPlan, Slice, plan_rest, plan_run
from ddpo.runs.store import TIME_WAS_UP, Run, RunSpec, check_idle, open_run, training_lock
from ddpo.training.events import EpochMetrics
from ddpo.ui.space import zero_gpu
from ddpo.ui.space.zero_gpu import NoGpu

logger = logging.getLogger("ddpo.ui")

SLICE_SECONDS = 60.0  # that ZeroGPU is asked for at a time: half of what a visitor without an account has a day
SHORTEST = 30.0
KEPT_BACK = 5.0  # seconds within a slice for the first checkpoint, whose length nobody knows yet, and the result
UNEXPECTED = "Training failed on this side; the details are in the app's log."


def slice_seconds() -> float:
    """Seconds of GPU that a slice asks for, from DDPO_SLICE_SECONDS.

    Raises:
        UserError: the variable holds no number of at least SHORTEST.
    """
    text = os.environ.get("DDPO_SLICE_SECONDS", "").strip()
    try:
        seconds = float(text) if text else SLICE_SECONDS
    except ValueError:
        seconds = math.nan
    if not SHORTEST <= seconds < math.inf:
        raise UserError(f"DDPO_SLICE_SECONDS must be a number from {SHORTEST:g}, and {text!r} is not.")
    return seconds


def plan(spec: RunSpec, epochs: Sequence[EpochMetrics] = ()) -> RunPlan:
    """A run, or what is left of it, cut into slices.

    Args:
        spec: what is trained.
        epochs: figures of those that are done, as `Run.epochs` has them.

    Raises:
        UserError: DDPO_SLICE_SECONDS is no number of seconds, or the base or the reward is not there.
    """
    seconds = slice_seconds()
    megabytes = weights_megabytes(spec.base)
    loading = megabytes / MEGABYTES_READ + zero_gpu.loading_seconds((), spec.reward)
    each = Slice(zero_gpu.asked(seconds - SECONDS_TO_BEGIN), seconds - SECONDS_TO_BEGIN - KEPT_BACK - loading)
    whole = plan_run(spec.config, read_network(spec.base), each, megabytes)
    return plan_rest(whole, epochs[-1].epoch, epochs[-1].seconds) if epochs else whole


def start(run: Run, time_budget: float | None = None) -> None:
    """Train a run, from the beginning or from where it stopped, on a thread of this process.

    An earlier request to stop is forgotten. What the GPU costs is charged to the visitor who called this.

    Args:
        run: the run.
        time_budget: seconds after which it stops by itself, to be resumed; waiting for a GPU counts.

    Raises:
        Busy: another run trains, or this one already does.
        UserError: the disk refuses, or DDPO_SLICE_SECONDS is no number of seconds.
    """
    budget = slice_seconds() - SECONDS_TO_BEGIN - KEPT_BACK
    check_idle(run.root)
    run.clear_stop()
    started = datetime.now(UTC).isoformat()
    run.write_status(state="starting", started=started, error=None, notice=None, seconds_left=None)
    # The context holds the visitor's request, by which ZeroGPU knows whose quota it is.
    Thread(target=copy_context().run, args=(carry_on, run, time_budget, budget), daemon=True).start()


def carry_on(run: Run, time_budget: float | None, slice_budget: float) -> None:
    """Train one slice after another, until the run is done, stopped, out of time or without a GPU.

    Raises nothing: what went wrong stands in the run's status.

    Args:
        run: the run.
        time_budget: seconds for all slices; None: no limit.
        slice_budget: seconds of training that a slice may take.
    """
    deadline = math.inf if time_budget is None else time.monotonic() + time_budget
    try:
        with training_lock(run.root, run) as lease:
            _slices(run, deadline, slice_budget, lease)
    except Busy as error:
        run.write_status(state="stopped", notice=str(error))
    except UserError as error:  # in the status as well, wherever the disk takes it
        logger.warning("The run %s failed: %s", run.id, error)
    except Exception:
        logger.exception("The run %s failed", run.id)
        run.write_status(state="failed", error=UNEXPECTED, seconds_left=None)


def _slices(run: Run, deadline: float, slice_budget: float, lease: Lease | None) -> None:
    while True:
        if lease is not None:
            lease.check()
        left = deadline - time.monotonic()
        if run.stop_requested():
            return _stopped(run, None)
        if left <= 0:
            return _stopped(run, TIME_WAS_UP)
        try:
            outcome = train_slice(run.root, run.id, min(slice_budget, left))
        except NoGpu as error:
            return _stopped(run, f"{error} Resume the run to go on.")
        logger.info("Slice of %s ended at step %d: %s", run.id, run.status().step, outcome)
        if outcome != "out of time":
            return None


def _stopped(run: Run, notice: str | None) -> None:
    run.clear_stop()
    run.write_status(state="stopped", notice=notice)


@zero_gpu.lent(lambda root, run_id, seconds: seconds + KEPT_BACK)
def train_slice(root: Path, run_id: str, seconds: float) -> str:
    """Train for so many seconds, or until the run is done or asked to stop; returns what `carry_out` does.

    Raises:
        UserError: training cannot start or go on; the run is marked as failed with that sentence.
    """
    from ddpo.runs.worker import carry_out

    return carry_out(open_run(root, run_id), time_budget=seconds, sliced=True)

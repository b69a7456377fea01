"""Carries a run out in this process: trains, and keeps the run folder up to date while it does.

Everything that is worth keeping is on disk before anybody is told of it, so the process may be killed at any moment.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from ddpo import rewards
from ddpo.common import company, memory
from ddpo.common.files import storage_error
from ddpo.common.leases import Lease, LeaseLost
from ddpo.diffusion.catalogue import current_base
from ddpo.diffusion.models import load_model, save_model
from ddpo.diffusion.precision import choose_compute
from ddpo.errors import UserError
from ddpo.runs import epoch_weights, limits, room
from ddpo.runs.base_weights import need_same_base
from ddpo.runs.checkpoints import LoadedCheckpoint
from ddpo.runs.fixed_seeds import FixedSeeds
from ddpo.runs.folder import RunGone
from ddpo.runs.interrupt import Interrupt
from ddpo.runs.records import RecordKeeper, new_result
from ddpo.runs.rights import right_to_train
from ddpo.runs.status import ResultFacts
from ddpo.runs.store import TIME_WAS_UP, Run
from ddpo.training.events import StepDone
from ddpo.training.processes import Processes
from ddpo.training.trainer import Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger("ddpo.runs.worker")

CHECKPOINT_SECONDS = 20.0  # between two checkpoints, at the least
CHECKPOINT_SHARE = 0.05  # of the time, at the most, goes into saving
Outcome = Literal["finished", "stopped", "out of time"]


def carry_out(
    run: Run,
    time_budget: float | None = None,
    accelerator: Accelerator | None = None,
    on_step: Callable[[StepDone], None] | None = None,
    sliced: bool = False,
) -> Outcome:
    """Train a run from where it stands to its end, a stop or a limit, and write its result.

    Args:
        run: the run; it goes on from its newest whole checkpoint.
        time_budget: seconds of this go, loading included, before which it stops and saves; None: no limit.
        accelerator: of the processes that train together; each must call this. None is one process.
        on_step: told of every step, on the main process, after its metrics are on disk.
        sliced: this is one of several goes of a caller who holds `training_lock` all along; out of time, the run
            stays "running", and the caller goes on with it or says that it has stopped.

    Returns:
        "finished", "stopped" (a stop was asked for, or Ctrl-C), or "out of time".

    Raises:
        UserError: training cannot start or go on; the run is marked as failed with that sentence.
        Busy: another run is being trained.
    """
    started = time.monotonic()
    processes = Processes(accelerator)
    with right_to_train(run) if processes.is_main and not sliced else nullcontext() as lease, company.computing():
        try:
            with Interrupt().caught() as interrupt:
                worker = _Worker(run, processes, on_step, sliced, lease)
                return worker.train(time_budget, interrupt, started)
        except BaseException as error:
            if processes.is_main:
                _mark_failed(run, error)
            elif not isinstance(error, UserError | KeyboardInterrupt):  # the main process does not know of it
                print(f"Process {processes.rank}: {_sentence(error)}", file=sys.stderr, flush=True)
            if isinstance(error, UserError | KeyboardInterrupt):
                raise
            if isinstance(error, Exception):
                logger.exception("The run failed")
                raise UserError(_sentence(error)) from error
            raise


def _mark_failed(run: Run, error: BaseException) -> None:
    """The cause goes into the status; where even that cannot be written, the caller still gets the sentence."""
    if isinstance(error, LeaseLost | RunGone):  # the status is another's, or nobody's
        return
    try:
        if isinstance(error, KeyboardInterrupt | GeneratorExit):
            run.write_status(state="stopped", error=None, seconds_left=None)
        else:
            run.write_status(state="failed", error=_sentence(error), seconds_left=None)
    except (OSError, UserError):
        logger.warning("The status of the run could not be written")


def _sentence(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    if memory.is_short(error):
        return f"The memory is not enough; {room.REMEDY}."
    if "Connection closed by peer" in str(error):  # gloo's words
        return "Another of the processes that train together has failed; what it printed says why."
    if isinstance(error, OSError):
        return f"The run folder cannot be written ({error.strerror or error}); free some space or mend its permissions."
    return f"Training failed with an unexpected {type(error).__name__}: {error}"


class _Worker:
    """The model, the trainer and the run folder of one go."""

    def __init__(
        self,
        run: Run,
        processes: Processes,
        on_step: Callable[[StepDone], None] | None,
        sliced: bool,
        lease: Lease | None = None,
    ) -> None:
        self.run, self.processes, self.on_step, self.sliced = run, processes, on_step, sliced
        self.lease = lease
        self.records = RecordKeeper(run) if processes.is_main else None
        if processes.is_main:
            # A page that started it a moment ago, or sees it between two slices, may want to stop it already.
            if not sliced and not run.is_about_to_train():
                run.clear_stop()
            state = "running" if sliced and run.stored_status().state == "running" else "starting"
            run.write_status(state=state, pid=os.getpid(), host=socket.gethostname(), error=None, notice=None)
        need_same_base(run)
        self.compute = choose_compute(device=processes.device)
        self.model = load_model(current_base(run.spec.pair, run.spec.base), self.compute)
        limits.check_memory(run.spec, self.model, self.compute)
        reward = rewards.load(run.spec.reward, self.compute, own_functions=True)
        self.trainer = Trainer(
            self.model.unet, self.model.noise_schedule, self.model.picture_shape, reward, run.spec.config,
            self.compute, processes, self.model.scheduler_config,
        )  # fmt: skip
        self.saved_at, self.save_seconds = time.monotonic(), 0.0
        self.saved_step = -1
        self.checkpoints = run.checkpoints
        self.longest: dict[str, float] = {}  # seconds of a step by its kind, over all goes
        self.fixed_seeds = FixedSeeds(run, self.model, self.compute)
        self._resume()

    def _resume(self) -> None:
        loaded: LoadedCheckpoint | None = self.checkpoints.load_newest("cpu")
        if loaded is not None:
            try:
                self.trainer.load_state_dict(loaded.state)
            except UserError:
                raise
            except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
                raise UserError(
                    f"The checkpoint of step {loaded.step} does not belong to this run; start the run anew."
                ) from error
            self.saved_step = loaded.step
            self.longest = dict(loaded.state.get("longest_steps", {}))
        if not self.processes.is_main:
            return
        # Lines beyond the checkpoint are of steps that are about to be done again.
        self.run.truncate_metrics(self.trainer.step)
        if loaded is None:
            self.fixed_seeds.draw_grid(self.trainer.result(), 0)
        self._write_status(state="running", notice=self._notice(loaded) if loaded else None)

    def _notice(self, loaded: LoadedCheckpoint) -> str | None:
        """What someone should know of the checkpoint that training goes on from."""
        before, now = loaded.state.get("compute", str(self.compute)), str(self.compute)
        moved = f"It was begun on {before} and is continued on {now}, so its figures are not quite those of one go."
        return " ".join(filter(None, [loaded.notice, moved if before != now else None])) or None

    def train(self, time_budget: float | None, interrupt: Interrupt, started: float) -> Outcome:
        """The loop; see `carry_out`."""
        outcome: Outcome = "finished"
        last = time.monotonic()
        with closing(self.trainer.run()) as events:  # type: ignore[type-var]
            while (event := self._next(events)) is not None:
                self._record(event)
                now = time.monotonic()
                self.longest[event.kind] = max(self.longest.get(event.kind, 0.0), now - last)
                last = now
                wished = interrupt.wished or (self.processes.is_main and self.run.stop_requested())
                late = time_budget is not None and now - started + self._reserve() >= time_budget
                if event.step < event.steps and self.processes.agree(wished):
                    outcome = "stopped"
                    break
                if event.step < event.steps and self.processes.agree(late):
                    outcome = "out of time"
                    break
                if time_budget is not None and self.processes.agree(self.trainer.next_kind not in self.longest):
                    self._save_checkpoint()  # how long that takes is not known, and it may be cut off
        self._save_checkpoint()
        self._finish(outcome)
        return outcome

    def _next(self, events: Iterator[StepDone]) -> StepDone | None:
        """Do a step; where it fails, what was done before it is saved."""
        try:
            return next(events, None)
        except Exception as error:
            # A UserError is raised by all processes together, anything else perhaps by this one alone.
            if isinstance(error, UserError) or self.processes.count == 1:
                try:
                    self._save_checkpoint()
                except UserError as other:
                    logger.warning("%s", other)
            raise

    def _reserve(self) -> float:
        """Seconds to keep back for the next step, the last checkpoint and what comes after it."""
        step = self.longest.get(self.trainer.next_kind, max(self.longest.values(), default=0.0))
        return step + 2 * self.save_seconds + (0.0 if self.sliced else 2 * self.fixed_seeds.seconds)

    def _record(self, event: StepDone) -> None:
        """Put a step on disk, then tell of it."""
        self._check_right()
        if self.records is not None:
            self.records.add(event)
            if event.finished_epoch is not None:
                unet = self.trainer.result()
                self.fixed_seeds.draw_grid(unet, event.epoch)
                epoch_weights.keep(self.run, unet, self.model.scheduler_config, event.epoch)
            if self.records.is_due(event):
                with self.records.telling():
                    self.records.flush()
                    self._write_status()
        due = max(CHECKPOINT_SECONDS, self.save_seconds / CHECKPOINT_SHARE)
        if self.processes.agree(time.monotonic() - self.saved_at >= due):
            self._save_checkpoint()
        if self.processes.is_main and self.on_step is not None:
            self.on_step(event)

    def _save_checkpoint(self) -> None:
        if self.trainer.step == self.saved_step:
            return
        begun = time.monotonic()
        state = {**self.trainer.state_dict(), "longest_steps": self.longest, "compute": str(self.compute)}
        self._check_right()
        if self.records is not None:
            self.records.flush()  # a run goes on behind its checkpoint, so the lines up to there must be there
            self.checkpoints.save(state, self.trainer.step, self.trainer.epoch)
        self.saved_at, self.saved_step = time.monotonic(), self.trainer.step
        self.save_seconds = self.saved_at - begun

    def _check_right(self) -> None:
        """Raises LeaseLost where the run is another process's by now, so that nothing of that one is overwritten.

        Raises RunGone where its folder was removed: what would be written there nobody could see or stop.
        """
        if self.lease is not None:
            self.lease.check()
        if self.run.storage.plain and not (self.run.folder / "run.json").is_file():
            raise RunGone(f"The folder of the run {self.run.id} was removed while it trained, so it stops.")

    def _write_status(self, **changes: Any) -> None:
        trainer = self.trainer
        left = None
        if trainer.step > 0:
            left = trainer.seconds / trainer.step * (trainer.steps - trainer.step)
        self.run.write_status(
            epoch=trainer.epoch, epochs=trainer.config.epochs, step=trainer.step, steps=trainer.steps,
            seconds=trainer.seconds, seconds_left=left, **changes,
        )  # fmt: skip

    def _finish(self, outcome: Outcome) -> None:
        """Write the result, whole, and then the status that tells of it."""
        if not self.processes.is_main:
            return
        self._check_right()
        trainer = self.trainer
        kept = trainer.eye.kept or trainer  # where the best weights stand, or the last
        unet, facts = trainer.result(best=kept is not trainer), ResultFacts(kept.epoch, kept.step, kept.seconds)
        try:
            limits.check_disk(self.run.folder, unet)
            with new_result(self.run) as folder:
                save_model(unet, self.model.scheduler_config, folder, torch.float32)
            self.run.write_result_facts(facts)
        except OSError as error:
            raise storage_error(error, self.run.folder, "The finetuned model") from error
        if outcome == "out of time" and self.sliced:
            self._write_status(state="running")
            return
        with suppress(OSError):  # the result is whole without them
            statistics = self.fixed_seeds.compare(trainer.base, unet, trainer.reward)
            self.run.write_result_facts(replace(facts, statistics=statistics))
        self.run.clear_stop()
        told = TIME_WAS_UP if outcome == "out of time" else None, trainer.eye.notice(trainer.epoch)
        notice = " ".join(filter(None, told)) or None
        self._write_status(state="finished" if outcome == "finished" else "stopped", notice=notice)

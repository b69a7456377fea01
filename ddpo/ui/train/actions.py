"""What the Train tab and its endpoints share: who may train, and runs that are started, found, stopped and resumed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from ddpo import rewards
from ddpo.common.files import finite
from ddpo.common.machine import on_space, on_zero_gpu
from ddpo.common.words import shown
from ddpo.diffusion.catalogue import PAIRS
from ddpo.diffusion.catalogue import base_title as pair_base_title
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs import followed, room, specs
from ddpo.runs.base_weights import other_base
from ddpo.runs.diagnosis import Diagnosis, diagnose
from ddpo.runs.metrics import epoch_facts, held_out_facts
from ddpo.runs.rights import right_to_begin
from ddpo.runs.startable import check_startable
from ddpo.runs.store import (
    Run,
    RunSpec,
    RunStatus,
    check_idle,
    create_run,
    current_run,
    runs_root,
    start_process,
)
from ddpo.training.events import EpochMetrics
from ddpo.training.held_out_curve import HeldOutEvaluation
from ddpo.ui.shared.sentences import without_paths
from ddpo.ui.space import permission, slices
from ddpo.ui.space.asker import Asker
from ddpo.ui.space.permission import longest_minutes, time_budget

logger = logging.getLogger("ddpo.ui")

ACTIVE = ("starting", "running")
RESUMABLE = ("stopped", "failed", "interrupted")
_starting = Lock()  # two visitors who press Start at once


def make_spec(asker: Asker, pair: Any, base: Any, reward: Any, recipe: Any, values: Mapping[str, Any]) -> RunSpec:
    """What to train, checked as far as it can be before a model is loaded.

    Args:
        asker: who asks for it.
        pair: name of a pair, whose base is finetuned.
        base: folder or Hub id of a model that is finetuned in its place; None or "" for none.
        reward: name of a reward.
        recipe: name of a recipe.
        values: settings that differ from the recipe's; None and "" are the recipe's own.

    Raises:
        UserError: a name or a value is not acceptable, or the base is a folder that this asker may not name.
    """
    for what, name in (("pair", pair), ("reward", reward), ("recipe", recipe)):
        if not isinstance(name, str):
            raise UserError(f"The {what} must be given as text, and {shown(name)} is not.")
    if base and (not isinstance(base, str) or "\0" in base):
        raise UserError(f"The base model must be given as text, and {shown(base)} is not.")
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    spec = specs.make_spec(None if base else pair, base or None, reward, recipe, given, own_functions=False)
    obstacle = rewards.get(reward).obstacle()
    if obstacle is not None:
        raise UserError(obstacle)
    if base:
        permission.check_source(base, asker)
        spec = specs.found_anywhere(spec)
    room.check_room(spec)
    return spec


def start(spec: RunSpec, minutes: Any) -> Run:
    """Begin a run, which goes on when the page is closed.

    Raises:
        Busy: another run trains; the sentence says which and for how long yet.
        UserError: the time budget is not acceptable, or the disk refuses.
    """
    budget = time_budget(minutes)
    check_startable(spec)
    with _starting, right_to_begin(runs_root()):
        check_idle(runs_root())  # before a folder is made for it
        run = create_run(runs_root(), spec)
        _begin(run, budget)
    logger.info("Run started: %s", run.id)
    return run


def resume(run: Run, minutes: Any) -> Run:
    """Go on with a run where it stopped; raises as `start` does, and UserError for one that is done."""
    followed.check_resumable_here(run)
    budget = time_budget(minutes)
    with _starting, right_to_begin(run.root):
        status, longest = run.status(), longest_minutes()
        if status.state == "finished":
            raise UserError(f"The run {run.id} is finished; there is nothing to resume.")
        if longest is not None and budget is not None:
            budget = min(budget, longest * 60 - status.seconds)
            if budget <= 0:
                raise UserError(f"The run {run.id} has had the {longest:g} minutes that a run may take here.")
        _begin(run, budget)
    logger.info("Run resumed: %s", run.id)
    return run


def _begin(run: Run, budget: float | None) -> None:
    """In a process of its own, or on ZeroGPU, where no process has a GPU for long, in slices."""
    if on_zero_gpu():
        slices.start(run, budget)
    else:
        start_process(run, budget)


def stop(run: Run) -> Run:
    """Ask a run to stop after its step; raises UserError where it does not train."""
    if run.status().state not in ACTIVE:
        raise UserError(f"The run {run.id} is not training, so there is nothing to stop.")
    run.request_stop()
    logger.info("Run asked to stop: %s", run.id)
    return run


def find(run_id: str | None) -> Run | None:
    """The run of that id; without one, the run that trains here, else in a job, else the newest, else None.

    Raises:
        UserError: there is no run of that id.
    """
    root = runs_root()
    if run_id:
        return followed.open_any(root, run_id)
    training = current_run(root)
    if training is not None:
        return training
    runs = followed.all_runs(root)
    elsewhere = (run for run in runs if followed.is_elsewhere(run) and run.status().state in ACTIVE)
    return next(elsewhere, None) or next(iter(runs), None)


def need(run_id: str | None) -> Run:
    """As `find`, but having none at all is a UserError too."""
    run = find(run_id)
    if run is None:
        raise UserError("There is no run yet; start one first.")
    return run


@dataclass(frozen=True)
class Snapshot:
    """A run as it is at one moment."""

    run: Run
    status: RunStatus
    epochs: list[EpochMetrics]
    samples: tuple[tuple[int, Path], ...]
    stopping: bool  # it has been asked to stop and has not yet
    has_result: bool
    diagnosis: Diagnosis
    evaluations: list[HeldOutEvaluation]  # of the held-out seeds

    @property
    def last_epoch(self) -> int:
        """The newest epoch that there is a grid of; 0 without any."""
        return self.samples[-1][0] if self.samples else 0


def look_at(run: Run) -> Snapshot:
    """Read what the run folder says now."""
    status, epochs = run.status(), run.epochs()
    if on_space():
        error, notice = status.error or "", status.notice or ""
        status = replace(status, error=without_paths(error) or None, notice=without_paths(notice) or None)
    stopping = status.state in ACTIVE and run.stop_requested()
    diagnosis = diagnose(epochs, finished=status.state == "finished", config=run.spec.config)
    samples, seen = tuple(run.samples()), run.evaluations()
    return Snapshot(run, status, epochs, samples, stopping, run.has_result(), diagnosis, seen)


def facts(run: Run, history: bool = False) -> dict[str, Any]:
    """A run for programs, ready for JSON; no path of this machine is in it.

    Args:
        run: the run.
        history: with the figures of every epoch, not only of the last.
    """
    seen = look_at(run)
    status, spec = seen.status, run.spec
    answer = {
        "id": run.id,
        "created": run.created,
        "state": "stopping" if seen.stopping else status.state,
        "pair": spec.pair,
        "base": spec.pair or Path(spec.base).name,
        "reward": spec.reward,
        "recipe": spec.recipe,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "step": status.step,
        "steps": status.steps,
        "seconds": status.seconds,
        "seconds_left": status.seconds_left,
        "error": status.error,
        "notice": " ".join(filter(None, (status.notice, other_base(run), followed.whereabouts(run)))) or None,
        "held_out": held_out_facts(seen.evaluations, spec.config),
        "metrics": epoch_facts(seen.epochs[-1]) if seen.epochs else None,
        "diagnosis": {
            "verdict": seen.diagnosis.verdict,
            "title": seen.diagnosis.title,
            "sentence": seen.diagnosis.sentence,
        },
        "result": f"run:{run.id}" if seen.has_result else None,  # a model pair for /compare
    }
    if not history:
        return answer
    curve = finite([each.as_dict() for each in seen.evaluations])
    return {**answer, "history": [epoch_facts(epoch) for epoch in seen.epochs], "held_out_history": curve}


def write_archive(run: Run, folder: Path) -> Path:
    """Write the result as a zip into a folder; it unpacks into a folder of the run's name.

    Raises:
        UserError: the run has no result yet.
    """
    import zipfile

    result = run.need_result()
    path = folder / f"{run.id}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # weights do not compress
        for file in sorted(result.rglob("*")):
            if file.is_file():
                archive.write(file, Path(run.id) / file.relative_to(result))
    return path


def base_title(spec: RunSpec) -> str:
    """The name of the base for the page."""
    if spec.pair is None:
        return ids.short_name(spec.base)
    return pair_base_title(PAIRS[spec.pair]) if spec.pair in PAIRS else spec.pair


def reward_title(name: str) -> str:
    """The name of the reward for the page."""
    spec = rewards.find(name)
    return spec.title if spec else name

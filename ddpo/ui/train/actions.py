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
from ddpo.common.machine import on_space
from ddpo.common.words import shown
from ddpo.diffusion.catalogue import PAIRS
from ddpo.diffusion.catalogue import base_title as pair_base_title
from ddpo.errors import Busy, UserError
from ddpo.hub import ids
from ddpo.runs import epoch_weights, followed, labels, removal, room, specs, waiting
from ddpo.runs.base_weights import other_base
from ddpo.runs.diagnosis import Diagnosis, diagnose
from ddpo.runs.metrics import epoch_facts, held_out_facts
from ddpo.runs.rights import right_to_begin
from ddpo.runs.startable import check_startable
from ddpo.runs.status import ACTIVE
from ddpo.runs.store import (
    Run,
    RunSpec,
    RunStatus,
    check_idle,
    create_run,
    current_run,
    list_runs,
    runs_root,
)
from ddpo.training.events import EpochMetrics
from ddpo.training.held_out_curve import HeldOutEvaluation
from ddpo.ui.shared.sentences import without_paths
from ddpo.ui.space import permission
from ddpo.ui.space.asker import Asker
from ddpo.ui.space.permission import longest_minutes, time_budget
from ddpo.ui.train import beginning

logger = logging.getLogger("ddpo.ui")

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


def start(spec: RunSpec, minutes: Any, wait: bool = False) -> Run:
    """Begin a run, which goes on when the page is closed.

    Args:
        spec: what is trained on what.
        minutes: the time budget; None: none.
        wait: whether it takes its turn where another run trains.

    Raises:
        Busy: another run trains, and this one is not to wait, or too many do; the sentence says which and how long yet.
        UserError: the time budget is not acceptable, or the disk refuses.
    """
    budget = time_budget(minutes)
    check_startable(spec)
    with _starting, right_to_begin(runs_root()):
        now = _may_begin(runs_root(), wait)  # before a folder is made for it
        run = create_run(runs_root(), spec)
        (beginning.begin if now else beginning.enqueue)(run, budget)
    logger.info("Run started: %s" if now else "Run queued: %s", run.id)
    return run


def resume(run: Run, minutes: Any, wait: bool = False) -> Run:
    """Go on with a run where it stopped; raises as `start` does, and UserError for one that is done or waits."""
    followed.check_resumable_here(run)
    budget = time_budget(minutes)
    with _starting, right_to_begin(run.root):
        status, longest = run.status(), longest_minutes()
        if status.state == "finished":
            raise UserError(f"The run {run.id} is finished; there is nothing to resume.")
        if status.state == "queued":
            raise UserError(f"The run {run.id} waits in the queue, and begins by itself in its turn.")
        if longest is not None and budget is not None:
            budget = min(budget, longest * 60 - status.seconds)
            if budget <= 0:
                raise UserError(f"The run {run.id} has had the {longest:g} minutes that a run may take here.")
        now = _may_begin(run.root, wait)
        (beginning.begin if now else beginning.enqueue)(run, budget)
    logger.info("Run resumed: %s" if now else "Run queued: %s", run.id)
    return run


def _may_begin(root: Path, wait: bool) -> bool:
    """Whether a run may begin at once, and need not take its turn; raises Busy where it can do neither."""
    try:
        check_idle(root)
    except Busy:
        if not wait:
            raise
    else:
        if not wait or not waiting.queued(list_runs(root)):
            return True
    waiting.check_free(list_runs(root))
    return False


def delete(run: Run) -> None:
    """Delete a run; raises Busy where it trains, and UserError where it is kept elsewhere or the disk refuses."""
    followed.check_kept_here(run)
    removal.delete(run)
    logger.info("Run deleted: %s", run.id)


def label(run: Run, name: Any = None, note: Any = None) -> Run:
    """Give a run a name and a note; None leaves either as it is. Raises UserError as `labels` does."""
    followed.check_kept_here(run)
    if name is not None:
        labels.rename(run, name)
    if note is not None:
        labels.annotate(run, note)
    return run


def stop(run: Run) -> Run:
    """Ask a run to stop after its step, or take it out of the queue; raises UserError where it does neither."""
    if run.status().state == "queued":
        waiting.leave(run)
        logger.info("Run taken out of the queue: %s", run.id)
        return run
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
    label: labels.Label
    kept: list[int]  # epochs of which there are weights
    turn: waiting.Turn | None  # of a run that waits

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
    kept, turn = epoch_weights.kept(run), waiting.turn(run) if status.state == "queued" else None
    label = labels.label_of(run)
    return Snapshot(run, status, epochs, samples, stopping, run.has_result(), diagnosis, seen, label, kept, turn)


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
        "name": seen.label.name or None,
        "note": seen.label.note or None,
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
        "queue": {"place": seen.turn.place, "seconds": seen.turn.seconds} if seen.turn else None,
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
        "kept_epochs": seen.kept,
    }
    if not history:
        return answer
    curve = finite([each.as_dict() for each in seen.evaluations])
    return {**answer, "history": [epoch_facts(epoch) for epoch in seen.epochs], "held_out_history": curve}


def title_of(seen: Snapshot) -> str:
    """The name of a run for the page: its own, else what it trains."""
    return seen.label.name or what_is_trained(seen.run.spec)


def what_is_trained(spec: RunSpec) -> str:
    """The reward and the base for the page."""
    return f"{reward_title(spec.reward)} on {base_title(spec)}"


def base_title(spec: RunSpec) -> str:
    """The name of the base for the page."""
    if spec.pair is None:
        return ids.short_name(spec.base)
    return pair_base_title(PAIRS[spec.pair]) if spec.pair in PAIRS else spec.pair


def reward_title(name: str) -> str:
    """The name of the reward for the page."""
    spec = rewards.find(name)
    return spec.title if spec else name

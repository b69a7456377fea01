"""What the Train tab and its endpoints share: who may train, and runs that are started, found, stopped and resumed."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import gradio as gr

from ddpo import rewards
from ddpo.diffusion.catalogue import PAIRS
from ddpo.diffusion.catalogue import base_title as pair_base_title
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs.diagnosis import Diagnosis, diagnose
from ddpo.runs.estimate import on_zero_gpu, read_network
from ddpo.runs.pairs import get_pair
from ddpo.runs.store import (
    Run,
    RunSpec,
    RunStatus,
    check_idle,
    create_run,
    current_run,
    list_runs,
    open_run,
    runs_root,
    start_process,
)
from ddpo.training.config import make_config
from ddpo.ui.shared.running import on_space
from ddpo.ui.space import slices

logger = logging.getLogger("ddpo.ui")

MODES = ("off", "on", "owner")
ACTIVE = ("starting", "running")
RESUMABLE = ("stopped", "failed", "interrupted")
_starting = Lock()  # two visitors who press Start at once


def mode() -> str:
    """Who may train: "off" (nobody, there is no tab), "on" (everybody) or "owner"; from DDPO_TRAINING.

    Without it everybody may on a machine of one's own and nobody on a Space.
    """
    given = os.environ.get("DDPO_TRAINING", "").strip().lower() or ("off" if on_space() else "on")
    if given not in MODES:
        logger.warning("DDPO_TRAINING must be one of %s, and %r is not: training is off.", ", ".join(MODES), given)
        return "off"
    return given


def is_owner(profile: gr.OAuthProfile | None) -> bool:
    """Whether a visitor who signed in is the owner of this Space."""
    owner = os.environ.get("SPACE_AUTHOR_NAME") or os.environ.get("SPACE_ID", "").partition("/")[0]
    return profile is not None and bool(owner) and profile.username == owner


def check_permission(profile: gr.OAuthProfile | None) -> None:
    """Raises UserError where this visitor may not start, stop or resume runs."""
    if mode() == "off":
        raise UserError("Finetuning is switched off here; set DDPO_TRAINING=on where you run the app yourself.")
    if mode() == "owner" and not is_owner(profile):
        raise UserError("Only the owner of this Space may finetune here; sign in as the owner, or duplicate the Space.")


def longest_minutes() -> float | None:
    """The time budget that none may exceed, from DDPO_MAX_MINUTES; None where there is no such limit.

    Raises:
        UserError: the variable holds no number of minutes.
    """
    text = os.environ.get("DDPO_MAX_MINUTES", "").strip()
    if not text:
        return None
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise UserError(f"DDPO_MAX_MINUTES must be a number of minutes above 0, and {text!r} is not.")
    return minutes


def time_budget(minutes: Any) -> float | None:
    """Seconds that a run may take; None and "" are the longest time allowed, which may be no limit at all.

    Raises:
        UserError: it is no number of minutes above 0, or more than is allowed here.
    """
    longest = longest_minutes()
    if minutes is None or minutes == "":
        return None if longest is None else 60 * longest
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 < minutes < math.inf:
        raise UserError(f"The time budget must be a number of minutes above 0, and {minutes!r} is not one.")
    if longest is not None and minutes > longest:
        raise UserError(f"The time budget may be at most {longest:g} minutes here, and {minutes:g} is more.")
    return 60 * float(minutes)


def make_spec(pair: Any, base: Any, reward: Any, recipe: Any, values: Mapping[str, Any]) -> RunSpec:
    """What to train, checked as far as it can be before a model is loaded.

    Args:
        pair: name of a pair, whose base is finetuned.
        base: folder or Hub id of a model that is finetuned in its place; None or "" for none.
        reward: name of a reward.
        recipe: name of a recipe.
        values: settings that differ from the recipe's; None and "" are the recipe's own.

    Raises:
        UserError: a name or a value is not acceptable, or a folder is given on a Space.
    """
    for what, name in (("pair", pair), ("reward", reward), ("recipe", recipe)):
        if not isinstance(name, str):
            raise UserError(f"The {what} must be given as text, and {name!r} is not.")
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    config = make_config(given, recipe)
    obstacle = rewards.get(reward).obstacle()
    if obstacle is not None:
        raise UserError(obstacle)
    if not base:
        return RunSpec(pair, get_pair(pair).base, reward, recipe, config)
    if not isinstance(base, str) or "\0" in base:
        raise UserError(f"The base model must be given as text, and {base!r} is not.")
    if on_space() and (ids.as_path(base).exists() or ids.parse(base) is None):
        raise UserError("Folders of your own work only where you run the app yourself; here, give the id of a model.")
    read_network(base)
    return RunSpec(None, ids.absolute(base), reward, recipe, config)


def start(spec: RunSpec, minutes: Any) -> Run:
    """Begin a run, which goes on when the page is closed.

    Raises:
        Busy: another run trains; the sentence says which and for how long yet.
        UserError: the time budget is not acceptable, or the disk refuses.
    """
    budget = time_budget(minutes)
    with _starting:
        check_idle(runs_root())  # before a folder is made for it
        run = create_run(runs_root(), spec)
        _begin(run, budget)
    logger.info("Run started: %s", run.id)
    return run


def resume(run: Run, minutes: Any) -> Run:
    """Go on with a run where it stopped; raises as `start` does, and UserError for one that is done."""
    budget = time_budget(minutes)
    with _starting:
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
    """The run of that id; without one, the run that trains, else the newest, else None.

    Raises:
        UserError: there is no run of that id.
    """
    root = runs_root()
    if run_id:
        return open_run(root, run_id)
    training = current_run(root)
    return training or next(iter(list_runs(root)), None)


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
    epochs: list[dict[str, Any]]
    samples: tuple[tuple[int, Path], ...]
    stopping: bool  # it has been asked to stop and has not yet
    has_result: bool
    diagnosis: Diagnosis

    @property
    def last_epoch(self) -> int:
        """The newest epoch that there is a grid of; 0 without any."""
        return self.samples[-1][0] if self.samples else 0


def look_at(run: Run) -> Snapshot:
    """Read what the run folder says now."""
    status, epochs = run.status(), run.epochs()
    stopping = status.state in ACTIVE and run.stop_requested()
    diagnosis = diagnose(epochs, finished=status.state == "finished")
    return Snapshot(run, status, epochs, tuple(run.samples()), stopping, run.has_result(), diagnosis)


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
        "notice": status.notice,
        "metrics": seen.epochs[-1] if seen.epochs else None,
        "diagnosis": {
            "verdict": seen.diagnosis.verdict,
            "title": seen.diagnosis.title,
            "sentence": seen.diagnosis.sentence,
        },
        "result": f"run:{run.id}" if seen.has_result else None,  # a model pair for /compare
    }
    return {**answer, "history": seen.epochs} if history else answer


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

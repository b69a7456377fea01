"""Runs that train elsewhere, in a job: in a bucket that is mounted here, or in one that is followed through the Hub.

Which bucket is followed, $DDPO_FOLLOW says; where it is not set, the one of the last job that was started from here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ddpo.common import leases
from ddpo.common.files import read_json, write_json
from ddpo.common.machine import on_space
from ddpo.errors import UserError
from ddpo.runs import mirror
from ddpo.runs.folder import Run
from ddpo.runs.mirror import Mirror
from ddpo.runs.store import list_runs, open_run

JOB = "job-"  # begins the id of a run that belongs to a job
NOTE = ".followed.json"  # in the folder of runs: the bucket of the last job
FIRST_LOOK = 3.0  # seconds that a page waits for what is in a bucket that it has not seen yet
GO_ON = "The same command that started the job goes on with it: train_space.py start --on jobs:..."


@dataclass(frozen=True)
class FollowedRun(Run):
    """A run in a bucket that is not mounted here: to be looked at, and asked to stop."""

    mirror: Mirror = field(compare=False)

    def need_result(self) -> Path:
        """Raises UserError: the result is not copied."""
        raise UserError(f"The result of the run {self.id} is in the bucket {self.mirror.bucket}, not on this machine.")

    def request_stop(self) -> None:
        """Ask the process that trains, through the bucket; raises UserError where the Hub cannot be reached."""
        self.mirror.ask_to_stop(self.id)

    def trainer(self) -> dict[str, Any] | None:
        """As Run's, at the moment at which the bucket was last seen."""
        return leases.holder(self.folder, self.mirror.seen_at)


def followed_bucket(root: Path) -> str | None:
    """The bucket to follow, "owner/name"; None for none. A Space follows one only where its owner names it."""
    named = os.environ.get("DDPO_FOLLOW")
    if named is not None or on_space():
        return (named or "").strip() or None
    try:
        return str(read_json(root / NOTE)["bucket"])
    except (OSError, ValueError, KeyError):
        return None


def note_bucket(root: Path, bucket: str) -> None:
    """Have pages with this folder of runs follow a bucket, that of a job; raises OSError where the disk refuses."""
    write_json(root / NOTE, {"bucket": bucket})


def all_runs(root: Path) -> list[Run]:
    """The runs in a folder and those that are followed, the newest first; the copies are brought up to date behind."""
    runs = list_runs(root)
    followed = _refreshed(root)
    if followed is not None:
        here = {run.id for run in runs}
        runs += [_follow(run, followed) for run in list_runs(followed.folder) if run.id not in here]
    return sorted(runs, key=lambda run: (run.created, run.id), reverse=True)


def open_any(root: Path, run_id: str) -> Run:
    """As `open_run`, for a run in a folder or one that is followed."""
    try:
        return open_run(root, run_id)
    except UserError:
        followed = _refreshed(root)
        if followed is None:
            raise
        try:
            return _follow(open_run(followed.folder, run_id), followed)
        except UserError:
            pass
        raise


def is_elsewhere(run: Run) -> bool:
    """Whether a run is not this machine's to train."""
    return isinstance(run, FollowedRun) or run.id.startswith(JOB)


def whereabouts(run: Run) -> str:
    """Where a run trains, and since when that cannot be seen; "" for one of this machine."""
    if not is_elsewhere(run):
        return ""
    what = "It trains in a job" if run.id.startswith(JOB) else "It trains elsewhere"
    if isinstance(run, FollowedRun):
        if run.mirror.troubled:
            return f"{what}. {run.mirror.sentence}"
        return f"{what} and is followed in the bucket {run.mirror.bucket}."
    return f"{what}, and is kept in the bucket that is shared with it."


def how_to_go_on(run: Run) -> str:
    """What resumes a run that is not this machine's to train."""
    return GO_ON if run.id.startswith(JOB) else "Resume it where it trains."


def check_resumable_here(run: Run) -> None:
    """Raises UserError for a run that would not go on where it began."""
    if is_elsewhere(run):
        raise UserError(f"The run {run.id} does not train on this machine. {how_to_go_on(run)}")


def check_kept_here(run: Run) -> None:
    """Raises UserError for a run of which only a copy is here, so that nothing of it can be changed."""
    if isinstance(run, FollowedRun):
        raise UserError(f"The run {run.id} is kept in the bucket {run.mirror.bucket}; change it where that is mounted.")


def follow_line(root: Path) -> str:
    """What the page says of the bucket that is followed; "" where none is."""
    try:
        followed = _mirror_of(root)
    except UserError as error:
        return str(error)
    return followed.sentence if followed else ""


def _refreshed(root: Path) -> Mirror | None:
    try:
        followed = _mirror_of(root)
    except UserError:  # `follow_line` tells
        return None
    if followed is not None:
        followed.refresh(FIRST_LOOK if followed.seen_at is None else 0.0)
    return followed


def _mirror_of(root: Path) -> Mirror | None:
    bucket = followed_bucket(root)
    return _mirror(mirror.check(bucket), _copies() / bucket.replace("/", "--")) if bucket else None


@cache
def _mirror(bucket: str, folder: Path) -> Mirror:
    return Mirror(bucket, folder)


def _copies() -> Path:
    """Where the copies are: beside what else came from the Hub."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "ddpo-followed"


def _follow(run: Run, followed: Mirror) -> FollowedRun:
    return FollowedRun(run.folder, run.id, run.spec, run.created, followed, base_weights=run.base_weights)

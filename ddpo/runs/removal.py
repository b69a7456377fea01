"""Deleting a run: never one that trains, and whole or not at all as far as a list of runs shows."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ddpo.common.files import storage_error
from ddpo.errors import Busy
from ddpo.runs.folder import Run
from ddpo.runs.rights import right_to_begin
from ddpo.runs.status import ACTIVE

REMOVED = ".deleted-"  # begins the name of a folder that is on its way out


def delete(run: Run) -> None:
    """Remove the folder of a run, its checkpoints and its result with it.

    Raises:
        Busy: it trains; the sentence says what to do.
        UserError: the disk refuses.
    """
    with right_to_begin(run.root):
        if run.trainer() is not None or run.status().state in ACTIVE:
            raise Busy(f"The run {run.id} trains; stop it first, and delete it then.")
        try:
            _remove(run)
        except OSError as error:
            raise storage_error(error, run.root, "The run") from error
    _sweep(run.root)


def _remove(run: Run) -> None:
    """Without its run.json, or under another name, a folder is no run any more."""
    if run.storage.renames and run.storage.plain:
        gone = run.root / f"{REMOVED}{run.id}"
        shutil.rmtree(gone, ignore_errors=True)
        run.folder.rename(gone)
    else:
        (run.folder / "run.json").unlink()
        shutil.rmtree(run.folder)


def _sweep(root: Path) -> None:
    """Free the disk of what was deleted, now or before a kill."""
    for folder in root.glob(f"{REMOVED}*"):
        with suppress(OSError):
            shutil.rmtree(folder)

"""The commands that keep a folder of runs in order: rename, note and delete."""

from __future__ import annotations

import argparse
import sys

from ddpo.cli.training import open_named, root_of
from ddpo.common.exit_codes import DONE
from ddpo.errors import UserError
from ddpo.runs import labels, removal
from ddpo.runs.store import open_run


def rename(options: argparse.Namespace) -> int:
    """Name a run."""
    run = open_named(options)
    labels.rename(run, options.name)
    name = labels.label_of(run).name
    print(f"The run {run.id} is now called {name!r}." if name else f"The run {run.id} has no name now.")
    return DONE


def note(options: argparse.Namespace) -> int:
    """Note something of a run, or show what was noted."""
    run = open_named(options)
    if options.text is not None:
        labels.annotate(run, options.text)
    print(labels.label_of(run).note or f"There is no note of the run {run.id}.")
    return DONE


def delete(options: argparse.Namespace) -> int:
    """Delete a run, once that was confirmed."""
    run = open_run(root_of(options), options.run)  # by its id alone, as `latest` is soon another one
    if not options.yes and not _confirmed(run.id):
        raise UserError("Nothing was deleted; --yes deletes without asking.")
    removal.delete(run)
    print(f"The run {run.id} is deleted.")
    return DONE


def _confirmed(run_id: str) -> bool:
    if not sys.stdin.isatty():
        return False
    print(f"Delete the run {run_id} with its checkpoints and its result? It cannot be had back. [y/N] ", end="")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")

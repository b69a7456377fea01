"""The command line of the trainer, behind train_space.py. Nothing slow is imported before it is needed."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ddpo.cli import job_options, managing
from ddpo.cli.options import build_parser
from ddpo.cli.training import open_named, root_of, train
from ddpo.common.exit_codes import BUSY, DONE, FAILED, WRONG_USAGE
from ddpo.common.files import storage_error
from ddpo.common.words import in_words
from ddpo.errors import Busy, Failed, UserError
from ddpo.runs.base_weights import other_base
from ddpo.runs.diagnosis import diagnose
from ddpo.runs.labels import label_of
from ddpo.runs.metrics import epoch_facts, held_out_facts
from ddpo.runs.specs import found_anywhere, make_spec
from ddpo.runs.startable import check_startable
from ddpo.runs.store import Run, check_idle, create_run, list_runs
from ddpo.training import held_out_curve
from ddpo.training.config import settings


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say, and return the exit code (see train_space.py)."""
    options = build_parser().parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except Busy as error:
        return _fail(str(error), BUSY)
    except Failed as error:
        return _fail(str(error), FAILED)
    except UserError as error:
        return _fail(str(error), WRONG_USAGE)
    except KeyboardInterrupt:
        return _fail("Stopped at once; what was saved last is whole.", FAILED)
    except BrokenPipeError:  # the reader of a pipe has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _fail(sentence: str, code: int) -> int:
    if os.environ.get("RANK", "0") == "0":  # every process fails with the same sentence
        print(sentence, file=sys.stderr)
    return code


# Commands -------------------------------------------------------------------------------------------------------------


def _start(options: argparse.Namespace) -> int:
    given = {s.name: getattr(options, s.name) for s in settings() if getattr(options, s.name) is not None}
    spec = make_spec(options.pair, options.base, options.reward, options.recipe, given)
    if options.on:
        job_options.start(options, spec, given)
        return DONE
    if options.code or options.dry_run or options.bucket:
        raise UserError("--code, --bucket and --dry-run belong to a job; add --on jobs:FLAVOR.")
    spec = found_anywhere(spec)
    check_startable(spec)
    check_idle(root_of(options))  # before a run is made that could not be trained
    if options.run_id:
        return train(options, lambda: job_options.open_or_create(root_of(options), options.run_id, spec))
    return train(options, lambda: create_run(root_of(options), spec))


def _resume(options: argparse.Namespace) -> int:
    def unfinished() -> Run:
        run = open_named(options)
        if run.status().state == "finished":
            raise UserError(f"The run {run.id} is finished, and its model is in {run.result}; start a new one.")
        return run

    return train(options, unfinished)


def _status(options: argparse.Namespace) -> int:
    run = open_named(options)
    status, epochs, seen = run.status(), run.epochs(), run.evaluations()
    diagnosis = diagnose(epochs, finished=status.state == "finished", config=run.spec.config)
    if options.json:
        last = [epoch_facts(epoch) for epoch in epochs[-1:]]
        held_out = {"held_out": held_out_facts(seen, run.spec.config)}
        facts = {"id": run.id, **asdict(status), **held_out, "last_epoch": last, "diagnosis": asdict(diagnosis)}
        print(json.dumps(facts))
        return DONE
    if seen:
        print(held_out_curve.in_words(seen, run.spec.config))
    print(f"{run.id}: {status.state}, epoch {status.epoch} of {status.epochs}, {in_words(status.seconds)} of training")
    if status.state == "running" and status.seconds_left is not None:
        print(f"Time left: {in_words(status.seconds_left)}")
    if epochs:
        print(f"Reward {epochs[0].reward_mean:.3f} -> {epochs[-1].reward_mean:.3f}")
    for sentence in (status.error, status.notice, other_base(run), f"{diagnosis.title}: {diagnosis.sentence}"):
        if sentence:
            print(sentence)
    return DONE


def _list(options: argparse.Namespace) -> int:
    runs = list_runs(root_of(options))
    if not runs:
        print("There are no runs yet; `train_space.py start` makes one.")
    for run in runs:
        status = run.status()
        name = label_of(run).name
        facts = f"{run.id}  {status.state:<11}  epoch {status.epoch:>3} of {status.epochs:<3}  {run.spec.reward}"
        print(f"{facts}  {name}" if name else facts)
    return DONE


def _export(options: argparse.Namespace) -> int:
    run = open_named(options)
    result = run.need_result()
    if options.folder.exists():
        raise UserError(f"{options.folder} is there already; name a folder that is not.")
    try:
        _copy(result, options.folder)
    except OSError as error:
        shutil.rmtree(options.folder, ignore_errors=True)
        raise storage_error(error, options.folder.parent, "The model") from error
    print(f"Exported to {options.folder}")
    return DONE


def _copy(source: Path, target: Path) -> None:
    """Copy a folder file by file, as `shutil.copytree` gathers what goes wrong into a list. Raises OSError."""
    target.mkdir(parents=True)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        place.mkdir(exist_ok=True) if path.is_dir() else shutil.copyfile(path, place)


def _push(options: argparse.Namespace) -> int:
    from ddpo.publish import push

    run = open_named(options)
    plan = push.plan_push(run, options.repository)
    if options.dry_run:
        print(plan)
        return DONE
    print(f"Published: {push.push(run, options.repository, private=options.private)}")
    return DONE


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "start": _start,
    "resume": _resume,
    "status": _status,
    "list": _list,
    "rename": managing.rename,
    "note": managing.note,
    "delete": managing.delete,
    "export": _export,
    "push": _push,
}

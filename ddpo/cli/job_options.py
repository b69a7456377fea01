"""`start --on jobs:FLAVOR`: its options, and what is told of the job."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ddpo.common import leases
from ddpo.common.words import in_words
from ddpo.errors import UserError, under_way
from ddpo.hub import client
from ddpo.publish import jobs
from ddpo.runs import followed
from ddpo.runs.store import Run, RunSpec, create_run, open_run, runs_root


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `start` takes beyond the options of training."""
    group = parser.add_argument_group("rented hardware")
    group.add_argument(
        "--on", type=_flavor, default=None, metavar="jobs:FLAVOR",
        help="train in a job on rented hardware of the Hugging Face Hub, as in jobs:l4x1; needs --push-to",
    )  # fmt: skip
    group.add_argument(
        "--code", default=None, metavar="SPACE",
        help="where the job gets this program: owner/name of a Space, @revision behind it if need be, or the https "
        "address of a git repository (default: $DDPO_CODE, or the Space that this is)",
    )  # fmt: skip
    group.add_argument(
        "--bucket", default=None, metavar="OWNER/NAME",
        help="storage bucket that keeps the run, so that a job that was cut short goes on when it is started again by "
        f"the same command (default: $DDPO_BUCKET, or your bucket {jobs.BUCKET}); made where it is missing",
    )  # fmt: skip
    group.add_argument("--dry-run", action="store_true", help="show the job, and send nothing")
    # What the job itself is started with: a result that is pushed is a success, whether or not the time was up.
    group.add_argument("--in-job", action="store_true", help=argparse.SUPPRESS)
    # The run that the job makes in the bucket, or goes on with where an earlier job has made it.
    group.add_argument("--run-id", default=None, help=argparse.SUPPRESS)


def start(options: argparse.Namespace, spec: RunSpec, given: Mapping[str, str]) -> None:
    """Start a job that carries the same start command out, or show it.

    Args:
        options: of the start command.
        spec: what is trained on what.
        given: the settings that differ from the recipe's, as they are written.

    Raises:
        UserError: the options do not fit together or to a job.
        Failed: the Hub refuses the job.
    """
    from ddpo.publish.push import check_name

    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError("A job is started by one process; in it there are as many as its hardware has GPUs.")
    if not options.push_to:
        raise UserError("The result of a job is pushed at its end; add --push-to OWNER/NAME.")
    check_name(options.push_to)
    if options.log_with:
        raise UserError("--log-with does not reach into a job; its page and `hf jobs logs` show every epoch.")
    code = options.code or os.environ.get("DDPO_CODE") or os.environ.get("SPACE_ID")
    if not code:
        raise UserError("A job fetches this program: name its Space or git repository, as in --code me/ddpo-studio.")
    budget = options.time_budget or jobs.TRAINING_SECONDS
    bucket = options.bucket or os.environ.get("DDPO_BUCKET") or jobs.BUCKET
    plan = jobs.plan_job(spec, given, options.on, code, options.push_to, budget, options.private, bucket)
    if options.dry_run:
        print(plan)
        return
    client.need_token(None, "start a job")
    with under_way():
        job = jobs.submit(plan)
    cost = "" if job.dollars is None else f", ${job.dollars:.2f} at the most"
    print(f"Job {job.id} on {plan.flavor}: {job.url}")
    print(f"It trains for {in_words(budget)} and takes {in_words(plan.timeout)} in all at the longest{cost}.")
    print(f"Follow it with: hf jobs logs --follow {job.id}\nEnd it with: hf jobs cancel {job.id}")
    print(f"The result comes to {job.model_url}")
    print(
        f"The run {jobs.run_id(spec)} lies in the bucket {job.bucket}: where its time is up or it is cut short, the "
        "same command goes on with it."
    )
    with suppress(OSError):  # the job is on its way all the same
        followed.note_bucket(Path(options.root) if options.root else runs_root(), job.bucket)
        print("The Train tab of the app shows it here, and elsewhere where DDPO_FOLLOW=" + job.bucket + " is set.")


def open_or_create(root: Path, run_id: str, spec: RunSpec) -> Run:
    """In a job: the run that an earlier one has left in the bucket, once that one is known to be gone, or a new one.

    Raises:
        UserError: the run is there and cannot be opened, or the disk refuses.
    """
    if not (root / run_id / "run.json").exists():
        return create_run(root, spec, run_id)
    run = open_run(root, run_id)
    deadline = time.monotonic() + leases.LIFE + leases.BEAT  # a container that is gone gives no lease back
    while run.trainer() is not None and time.monotonic() < deadline:
        time.sleep(1)
    print(f"The run {run_id} is in the bucket already, at step {run.status().step}; this job goes on with it.")
    return run


def _flavor(text: str) -> str:
    kind, _, flavor = text.partition(":")
    if kind != "jobs" or not flavor:
        raise argparse.ArgumentTypeError(f"{text!r} names no hardware; write jobs: and its name, as in jobs:l4x1")
    return flavor

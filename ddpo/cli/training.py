"""A run that is carried out here: in this process, in one of those that `accelerate launch` started, or alone."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ddpo.cli.progress import Reporter
from ddpo.common.exit_codes import DONE, OUT_OF_TIME
from ddpo.common.words import epochs_in_words
from ddpo.errors import Busy, UserError, under_way
from ddpo.hub import client
from ddpo.runs.store import Run, list_runs, open_run, runs_root

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ddpo.runs.worker import Outcome
    from ddpo.training.processes import Processes

PAUSES = (30, 120)  # seconds before the result is pushed again; what a job cannot push is lost with it


def train(options: argparse.Namespace, get_run: Callable[[], Run]) -> int:
    """Carry a run out, publish its result where that was asked for, and return the exit code.

    Args:
        options: of `start` or `resume`.
        get_run: makes or opens the run; called on the main process alone.

    Raises:
        Busy: another run trains.
        Failed: training or publishing failed; what was saved is kept.
        UserError: the options or the run are not acceptable.
    """
    _check_push(options)
    if options.push_to:
        client.need_token(None, "push")
    accelerator = _accelerator(options)
    from ddpo.diffusion.precision import choose_compute
    from ddpo.runs.worker import carry_out
    from ddpo.training.processes import Processes

    choose_compute()  # says what is wrong with DDPO_PRECISION before a run is made
    sys.path.insert(0, str(Path.cwd()))  # where a module:function of the user's own lies
    processes = Processes(accelerator)
    run, reporter = _begin(options, get_run, processes, accelerator if options.log_with else None)
    with under_way():
        if reporter is not None:
            return _carry_out(options, run, reporter, accelerator)
        carry_out(run, options.time_budget, accelerator)
    return DONE


def _check_push(options: argparse.Namespace) -> None:
    """What can be known of --push-to before training."""
    from ddpo.publish.push import check_name

    if options.push_to is not None:
        check_name(options.push_to)
    elif options.private:
        raise UserError("--private belongs to --push-to, which names the repository.")


def _carry_out(options: argparse.Namespace, run: Run, reporter: Reporter, accelerator: Accelerator | None) -> int:
    """Train on the main process, tell of it, and publish the result where that was asked for."""
    from ddpo.runs.worker import carry_out

    epochs = epochs_in_words(run.spec.config.epochs)
    print(f"Run {run.id}: {run.spec.reward} on {run.spec.pair or run.spec.base}, {epochs}")
    try:
        with closing(reporter):
            outcome = carry_out(run, options.time_budget, accelerator, reporter.on_step)
    except Busy:
        if _is_new(options):  # another came first, and this one was never begun
            shutil.rmtree(run.folder, ignore_errors=True)
        raise
    except UserError:
        print(f"Everything before it is kept; go on with: {_resume_command(run)}", file=sys.stderr)
        raise
    code = _report_end(run, outcome)
    if options.push_to and outcome != "stopped":
        _push_result(run, options)
        if options.in_job:
            return DONE
    return code


def _begin(
    options: argparse.Namespace, get_run: Callable[[], Run], processes: Processes, tracked: Accelerator | None
) -> tuple[Run, Reporter | None]:
    """The run that the main process made or opened, on all of them; and there, what tells of it."""
    run_id, problem, reporter = "", None, None
    if processes.is_main:
        try:
            run = get_run()
            reporter = _reporter(run, tracked, is_new=_is_new(options))
            run_id = run.id
        except UserError as error:
            problem = str(error)
    run_id, problem = processes.gather_objects((run_id, problem))[0]
    if problem is not None:
        raise UserError(problem)
    try:
        run = open_run(root_of(options), run_id)
    except UserError as error:
        problem = f"Every process must reach the same folder of runs, on all machines: {error}"
    for other in processes.gather_objects(problem):
        if other is not None:
            raise UserError(other)
    return run, reporter


def _reporter(run: Run, tracked: Accelerator | None, is_new: bool) -> Reporter:
    """What tells of a run. A new run goes again where its tracker cannot be started."""
    try:
        return Reporter(run, tracked)
    except BaseException:
        if is_new:
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


def _report_end(run: Run, outcome: Outcome) -> int:
    if outcome == "finished":
        from ddpo.publish import evaluated

        print(f"Finished. The finetuned model is in {run.result}")
        print(f"Is it better? {evaluated.command(run)}")
        return DONE
    print(f"Stopped ({outcome}) and saved. Go on with: {_resume_command(run)}")
    return OUT_OF_TIME if outcome == "out of time" else DONE


def _push_result(run: Run, options: argparse.Namespace) -> None:
    from ddpo.publish import push

    for pause in (*PAUSES, None):
        try:
            print(f"Published: {push.push(run, options.push_to, private=options.private)}")
            return
        except UserError as error:
            if pause is None:
                print(f"It is kept in {run.result}; push it with the command push.", file=sys.stderr)
                raise
            print(f"{error} The next attempt is in {pause} seconds.", file=sys.stderr)
            time.sleep(pause)


def _is_new(options: argparse.Namespace) -> bool:
    """Whether the run was made by this very command, so that it may go where it cannot be begun."""
    return options.command == "start" and not options.run_id


def _resume_command(run: Run) -> str:
    parent = run.folder.parent
    root = "" if parent.resolve() == runs_root().resolve() else f" --root {shlex.quote(str(parent))}"
    return f"python train_space.py resume {run.id}{root}"


def _accelerator(options: argparse.Namespace) -> Accelerator | None:
    """Only where there is something for it to do: several processes, or a tracker."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and options.log_with is None:
        return None
    if options.log_with is not None and find_spec(options.log_with) is None:  # accelerate would leave it out in silence
        raise UserError(f"--log-with {options.log_with} needs a package: `pip install {options.log_with}`.")
    import torch
    from accelerate import Accelerator

    # Without a GPU accelerate has to be told to let the processes talk over the CPU.
    return Accelerator(
        cpu=not torch.cuda.is_available(), log_with=options.log_with, project_dir=str(root_of(options) / "trackers")
    )


def root_of(options: argparse.Namespace) -> Path:
    """The folder of the runs that the options or the environment name."""
    return options.root or runs_root()


def open_named(options: argparse.Namespace) -> Run:
    """The run that the options name by its id or as `latest`; raises UserError where there is none."""
    root = root_of(options)
    if options.run != "latest":
        return open_run(root, options.run)
    runs = list_runs(root)
    if not runs:
        raise UserError("There are no runs yet; `train_space.py start` makes one.")
    return runs[0]

"""The command line of the trainer, behind train_space.py. Nothing slow is imported before it is needed."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ddpo import rewards
from ddpo.cli import job_options
from ddpo.cli.progress import Reporter
from ddpo.common.files import storage_error
from ddpo.common.words import epochs_in_words, in_words, shown
from ddpo.diffusion.catalogue import PAIRS
from ddpo.errors import Busy, Failed, UserError, under_way
from ddpo.hub import client
from ddpo.runs.diagnosis import diagnose
from ddpo.runs.metrics import epoch_facts
from ddpo.runs.specs import found_anywhere, make_spec
from ddpo.runs.startable import check_startable
from ddpo.runs.store import Run, check_idle, create_run, list_runs, open_run, runs_root
from ddpo.training.config import settings
from ddpo.training.recipes import RECIPES
from ddpo.training.setting import Setting

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ddpo.runs.worker import Outcome
    from ddpo.training.processes import Processes

DONE, FAILED, WRONG_USAGE, BUSY, OUT_OF_TIME = range(5)
TRACKERS = ("tensorboard", "trackio", "wandb")
PAUSES = (30, 120)  # seconds before the result is pushed again; what a job cannot push is lost with it


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say, and return the exit code (see train_space.py)."""
    options = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
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


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence rather than in a screen of usage."""

    def error(self, message: str) -> NoReturn:
        print(f"{message[:1].upper()}{message[1:]}; `{self.prog} --help` lists what there is.", file=sys.stderr)
        raise SystemExit(WRONG_USAGE)


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options; those of `start` are made from the settings themselves."""
    parser = _Parser(prog="train_space.py", description="Finetune a diffusion model with DDPO.")
    parser.add_argument("--root", type=Path, default=None, help="folder of the runs (default: $DDPO_RUNS, or ./runs)")
    parser.set_defaults(in_job=False, run_id=None)
    commands = parser.add_subparsers(title="commands", required=True, parser_class=_Parser)

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--root", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        added.set_defaults(command=command)
        return added

    start = add("start", _start, "Start a run.")
    what = start.add_mutually_exclusive_group()
    what.add_argument("--pair", default=None, help=f"finetune the base of a pair: {', '.join(PAIRS)}")
    what.add_argument("--base", default=None, help="finetune a model of your own: a folder or a Hub id (UNet2DModel)")
    start.add_argument("--reward", default=None, help=f"{', '.join(rewards.names())}, or module:function of your own")
    recipes = "; ".join(f"{recipe.name}: {recipe.description}" for recipe in RECIPES.values())
    start.add_argument("--recipe", default="quick", help=recipes)
    _add_training_options(start)
    job_options.add_options(start)
    group = start.add_argument_group("settings", "each replaces the recipe's own")
    for setting in settings():
        _add_setting(group, setting)

    resume = add("resume", _resume, "Go on with a run from its newest checkpoint.")
    resume.add_argument("run", help="id of the run, or `latest`")
    _add_training_options(resume)
    status = add("status", _status, "Say where a run stands and whether it looks healthy.")
    status.add_argument("run", nargs="?", default="latest", help="id of the run (default: latest)")
    status.add_argument("--json", action="store_true", help="as JSON")
    add("list", _list, "List all runs, the newest first.")
    export = add("export", _export, "Copy the finetuned model, a plain diffusers pipeline, to a folder.")
    export.add_argument("run", help="id of the run, or `latest`")
    export.add_argument("folder", type=Path, help="new folder")
    push = add("push", _push, "Publish the finetuned model on the Hugging Face Hub.")
    push.add_argument("run", help="id of the run, or `latest`")
    push.add_argument("repository", help="owner/name")
    push.add_argument("--private", action="store_true", help="only you can see it")
    push.add_argument("--dry-run", action="store_true", help="show what would be published, and send nothing")
    return parser


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-budget", type=_seconds, default=None, metavar="TIME",
        help="stop and save in time before this is over, as in 90, 10m or 1.5h; exit code 4",
    )  # fmt: skip
    parser.add_argument(
        "--push-to", default=None, metavar="OWNER/NAME", help="publish the result on the Hugging Face Hub at the end"
    )
    parser.add_argument("--private", action="store_true", help="with --push-to: only you can see it")
    parser.add_argument("--log-with", choices=TRACKERS, default=None, help="follow the run with a tracker")


def _add_setting(group: Any, setting: Setting) -> None:
    flag = "--" + setting.name.replace("_", "-")
    text = setting.help.replace("%", "%%")
    if setting.choices:
        group.add_argument(flag, default=None, metavar="|".join(setting.choices), help=text)
    else:
        group.add_argument(flag, default=None, metavar=setting.kind.__name__.upper(), help=text)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)([smh]?)", text.strip(), re.ASCII)
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else math.nan
    if not 0 <= seconds < math.inf or not text.strip("0.smh "):
        raise argparse.ArgumentTypeError(f"{shown(text)} is no time; write seconds, or 10m, or 1.5h")
    return seconds


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
    check_idle(_root(options))  # before a run is made that could not be trained
    if options.run_id:
        return _train(options, lambda: job_options.open_or_create(_root(options), options.run_id, spec))
    return _train(options, lambda: create_run(_root(options), spec))


def _check_push(options: argparse.Namespace) -> None:
    """What can be known of --push-to before training."""
    from ddpo.publish.push import check_name

    if options.push_to is not None:
        check_name(options.push_to)
    elif options.private:
        raise UserError("--private belongs to --push-to, which names the repository.")


def _resume(options: argparse.Namespace) -> int:
    def unfinished() -> Run:
        run = _open(options)
        if run.status().state == "finished":
            raise UserError(f"The run {run.id} is finished, and its model is in {run.result}; start a new one.")
        return run

    return _train(options, unfinished)


def _train(options: argparse.Namespace, get_run: Callable[[], Run]) -> int:
    """Carry a run out in this process, one of those that `accelerate launch` started, or alone."""
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
        run = open_run(_root(options), run_id)
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
        print(f"Finished. The finetuned model is in {run.result}")
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


def _status(options: argparse.Namespace) -> int:
    run = _open(options)
    status, epochs = run.status(), run.epochs()
    diagnosis = diagnose(epochs, finished=status.state == "finished")
    if options.json:
        last = [epoch_facts(epoch) for epoch in epochs[-1:]]
        print(json.dumps({"id": run.id, **asdict(status), "last_epoch": last, "diagnosis": asdict(diagnosis)}))
        return DONE
    print(f"{run.id}: {status.state}, epoch {status.epoch} of {status.epochs}, {in_words(status.seconds)} of training")
    if status.state == "running" and status.seconds_left is not None:
        print(f"Time left: {in_words(status.seconds_left)}")
    if epochs:
        print(f"Reward {epochs[0].reward_mean:.3f} -> {epochs[-1].reward_mean:.3f}")
    for sentence in (status.error, status.notice, f"{diagnosis.title}: {diagnosis.sentence}"):
        if sentence:
            print(sentence)
    return DONE


def _list(options: argparse.Namespace) -> int:
    runs = list_runs(_root(options))
    if not runs:
        print("There are no runs yet; `train_space.py start` makes one.")
    for run in runs:
        status = run.status()
        print(f"{run.id}  {status.state:<11}  epoch {status.epoch:>3} of {status.epochs:<3}  {run.spec.reward}")
    return DONE


def _export(options: argparse.Namespace) -> int:
    run = _open(options)
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

    run = _open(options)
    plan = push.plan_push(run, options.repository)
    if options.dry_run:
        print(plan)
        return DONE
    print(f"Published: {push.push(run, options.repository, private=options.private)}")
    return DONE


# Helpers --------------------------------------------------------------------------------------------------------------


def _root(options: argparse.Namespace) -> Path:
    return options.root or runs_root()


def _open(options: argparse.Namespace) -> Run:
    root = _root(options)
    if options.run != "latest":
        return open_run(root, options.run)
    runs = list_runs(root)
    if not runs:
        raise UserError("There are no runs yet; `train_space.py start` makes one.")
    return runs[0]


def _is_new(options: argparse.Namespace) -> bool:
    """Whether the run was made by this very command, so that it may go where it cannot be begun."""
    return options.command is _start and not options.run_id


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
        cpu=not torch.cuda.is_available(), log_with=options.log_with, project_dir=str(_root(options) / "trackers")
    )

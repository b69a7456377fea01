"""The commands and their options. Those of `start` are made from the settings of training themselves."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddpo import rewards
from ddpo.cli import job_options
from ddpo.common.parser import Parser
from ddpo.common.words import shown
from ddpo.diffusion.catalogue import PAIRS
from ddpo.training.config import settings
from ddpo.training.recipes import RECIPES
from ddpo.training.setting import Setting

TRACKERS = ("tensorboard", "trackio", "wandb")


def build_parser() -> argparse.ArgumentParser:
    """The parser of train_space.py; `command` in what it parses is the name of the command."""
    parser = Parser(prog="train_space.py", description="Finetune a diffusion model with DDPO.")
    parser.add_argument("--root", type=Path, default=None, help="folder of the runs (default: $DDPO_RUNS, or ./runs)")
    parser.set_defaults(in_job=False, run_id=None)
    commands = parser.add_subparsers(title="commands", required=True, parser_class=Parser)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--root", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        added.set_defaults(command=name)
        return added

    _add_start(add("start", "Start a run."))
    resume = add("resume", "Go on with a run from its newest checkpoint.")
    resume.add_argument("run", help="id of the run, or `latest`")
    _add_training_options(resume)
    status = add("status", "Say where a run stands and whether it looks healthy.")
    status.add_argument("run", nargs="?", default="latest", help="id of the run (default: latest)")
    status.add_argument("--json", action="store_true", help="as JSON")
    add("list", "List all runs, the newest first.")
    _add_managing(add)
    return parser


def _add_start(start: argparse.ArgumentParser) -> None:
    """What a run is of, and each of its settings."""
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


def _add_managing(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """What is done with runs that are there.

    Args:
        add: makes the parser of a command from its name and what it does.
    """
    rename = add("rename", "Give a run a name, which the page and the list show. Its id stays.")
    rename.add_argument("run", help="id of the run, or `latest`")
    rename.add_argument("name", help='the name; "" takes it away')
    note = add("note", "Note something of a run, or show its note.")
    note.add_argument("run", help="id of the run, or `latest`")
    note.add_argument("text", nargs="?", default=None, help='the note; "" takes it away')
    delete = add("delete", "Delete a run with its checkpoints and its result.")
    delete.add_argument("run", help="id of the run")
    delete.add_argument("--yes", action="store_true", help="without asking first")
    export = add("export", "Copy the finetuned model, a plain diffusers pipeline, to a folder.")
    export.add_argument("run", help="id of the run, or `latest`")
    export.add_argument("folder", type=Path, help="new folder")
    push = add("push", "Publish the finetuned model on the Hugging Face Hub.")
    push.add_argument("run", help="id of the run, or `latest`")
    push.add_argument("repository", help="owner/name")
    push.add_argument("--private", action="store_true", help="only you can see it")
    push.add_argument("--dry-run", action="store_true", help="show what would be published, and send nothing")


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

"""The command line is promised: its commands and options are those that tests/options.json lists.

The app takes no options: the environment sets it up, see docs/settings.md.
"""

from __future__ import annotations

import argparse
import inspect
import json
import subprocess
import sys
import tomllib
from typing import Any

from ddpo.cli.main import COMMANDS
from ddpo.cli.options import build_parser
from ddpo.ui import page
from tests.helpers.here import ROOT

PROMISED = ROOT / "tests" / "options.json"


def options_of(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Each option and argument of a parser: its default, what it takes, and whether it must be given."""
    found = {}
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        name = " ".join(action.option_strings) or action.dest
        found[name] = {
            "takes": 1 if action.nargs is None else action.nargs,
            "default": None if action.default == argparse.SUPPRESS else action.default,
            "choices": list(action.choices) if action.choices else _choices_in(action.metavar),
            "required": action.required,
        }
    return found


def _choices_in(metavar: str | tuple[str, ...] | None) -> list[str] | None:
    """Those of a setting, which `TrainConfig` checks and argparse only shows."""
    return metavar.split("|") if isinstance(metavar, str) and "|" in metavar else None


def command_line() -> dict[str, Any]:
    parser = build_parser()
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    subcommands = {f"ddpo-train {name}": options_of(sub) for name, sub in commands.choices.items()}
    return {"ddpo-studio": {}, "ddpo-train": options_of(parser), **subcommands}


def as_text(listed: dict[str, Any]) -> str:
    """JSON with an option in each line."""
    blocks = []
    for command, options in listed.items():
        lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(facts)}" for name, facts in options.items())
        blocks.append(f"  {json.dumps(command)}: {{\n{lines}\n  }}" if options else f"  {json.dumps(command)}: {{}}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def test_the_command_line_keeps_its_promise() -> None:
    """Where this fails on purpose, `python -m tests.cli.test_options` writes the list anew; say it in CHANGELOG.md."""
    assert command_line() == json.loads(PROMISED.read_text(encoding="utf-8"))


def test_every_command_does_something() -> None:
    assert {f"ddpo-train {name}" for name in COMMANDS} == command_line().keys() - {"ddpo-studio", "ddpo-train"}


def test_the_app_takes_no_options() -> None:
    assert not inspect.signature(page.main).parameters and "argv" not in inspect.getsource(page)


def test_both_console_commands_lead_to_the_same_programs_as_the_scripts() -> None:
    commands = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert commands == {"ddpo-studio": "ddpo.ui.page:main", "ddpo-train": "ddpo.cli.main:main"}
    assert "from ddpo.cli.main import main" in (ROOT / "train_space.py").read_text(encoding="utf-8")


def test_help_is_there_at_once_and_imports_no_torch() -> None:
    code = "from ddpo.cli.options import build_parser; build_parser().format_help(); import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert "argparse" in run.stdout.split() and "torch" not in run.stdout.split()


if __name__ == "__main__":
    PROMISED.write_text(as_text(command_line()), encoding="utf-8")

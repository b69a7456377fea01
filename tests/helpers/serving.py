"""Starts the real app as its users do, on a free port, with its log in a file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from tests.helpers.here import ROOT, free_port
from tests.helpers.prepared import Process, as_python, is_as_prepared

PATIENCE = 180  # seconds; on ZeroGPU the app imports torch and loads two models before it serves
APP = (sys.executable, "app.py")


@dataclass(frozen=True)
class RunningApp:
    """An app that serves."""

    url: str
    log_file: Path
    seconds_to_start: float

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_for_log(self, pattern: str, after: int = 0, seconds: float = 20) -> re.Match[str]:
        """The first match in the log beyond a position; fails when none comes in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if match := re.compile(pattern).search(self.log, after):
                return match
            time.sleep(0.1)
        raise AssertionError(f"{pattern!r} is not in the log: {self.log[after:]}")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode("utf-8"))


@contextmanager
def running_app(
    log_file: Path, command: Sequence[str] | Callable[[], None] = APP, *, folder: str = str(ROOT), **variables: str
) -> Iterator[RunningApp]:
    """Serve the app for the time of a with block; in a fork, where no variable is set that is read on import.

    A command that is a function is called in a fork before the page is made, whatever is set: for what `python app.py`
    does, with something changed.
    """
    port = free_port()
    environment = {
        **os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "DDPO_PRECISION": "float32",
        "HF_HUB_OFFLINE": "1", "DDPO_RUNS": str(log_file.parent / "runs"), "DDPO_WARM_UP": "0",
        "DDPO_EVALUATIONS": str(log_file.parent / "evaluations"), **variables,
    }  # fmt: skip
    started = time.monotonic()
    with log_file.open("w") as log:
        process: subprocess.Popen[bytes] | Process
        if callable(command):
            process = Process(_serve, command, env=environment, cwd=folder, outputs=(log.fileno(), log.fileno()))
        elif tuple(command) == APP and folder == str(ROOT) and is_as_prepared(environment):
            process = Process(_serve, env=environment, cwd=folder, outputs=(log.fileno(), log.fileno()))
        else:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_up(url, process, log_file)
        yield RunningApp(url, log_file, time.monotonic() - started)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _serve(before: Callable[[], None] | None = None) -> int:
    """In a fork: serve the app, whose trainers are forks as well, once what comes before is done."""
    if before is not None:
        before()
    from gradio import http_server

    from ddpo.runs import store

    http_server.INITIAL_PORT_VALUE = int(os.environ["GRADIO_SERVER_PORT"])  # read on import
    http_server.LOCALHOST_NAME = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    vars(store)["subprocess"] = SimpleNamespace(**{**vars(subprocess), "Popen": _fork_trainer})
    return as_python(["app.py"])


def _fork_trainer(command: Sequence[str], *, env: Mapping[str, str], stdout: IO[bytes], **_: Any) -> Process:
    from tests.helpers.forks import GRID_STEPS, hurry

    outputs = (stdout.fileno(), stdout.fileno())
    return Process(hurry, GRID_STEPS, as_python, (command[1:],), env=env, outputs=outputs)


def _wait_until_up(url: str, process: subprocess.Popen[bytes] | Process, log_file: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            get(url)
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"The app does not serve: {log_file.read_text(encoding='utf-8')}")

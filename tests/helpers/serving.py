"""Starts the real app as its users do, on a free port, with its log in a file."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 180  # seconds; on ZeroGPU the app imports torch and loads two models before it serves
ROOT = Path(__file__).resolve().parents[2]


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
    log_file: Path, command: Sequence[str] = (sys.executable, "app.py"), *, folder: str = str(ROOT), **variables: str
) -> Iterator[RunningApp]:
    """Serve the app for the time of a with block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "DDPO_PRECISION": "float32",
        "HF_HUB_OFFLINE": "1", "DDPO_RUNS": str(log_file.parent / "runs"), "DDPO_WARM_UP": "0", **variables,
    }  # fmt: skip
    started = time.monotonic()
    with log_file.open("w") as log:
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


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
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

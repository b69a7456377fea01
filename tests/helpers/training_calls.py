"""Training through the endpoints: a run of seconds, and waiting for it."""

from __future__ import annotations

import time
from typing import Any

from gradio_client import Client

from ddpo.runs.store import Run

TINY = {
    "batches_per_epoch": 1, "batch_size": 2, "accumulation": 1, "sampling_steps": 4, "trained_steps": 1,
    "window": "random", "group_size": 1, "warmup_epochs": 0,
}  # fmt: skip

SLOW = 240  # seconds that a step of a test may take; a process that trains starts with importing torch


def wait_for(client: Client, run: str, done: Any) -> dict[str, Any]:
    """The status of a run, once it is as is asked for; fails with its log when the run fails first."""
    deadline = time.monotonic() + SLOW
    while time.monotonic() < deadline:
        status: dict[str, Any] = client.predict(run, api_name="/run_status")
        if done(status):
            return status
        assert status["state"] != "failed", status["error"]
        time.sleep(0.3)
    raise AssertionError(f"still {status}")


def assert_whole(run: Run) -> None:
    """Every epoch stands once in the metrics and has its grid."""
    epochs = [epoch.epoch for epoch in run.epochs()]
    assert epochs == list(range(1, len(epochs) + 1))
    assert [epoch for epoch, _ in run.samples()] == [0, *epochs]

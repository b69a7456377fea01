"""A job that really trains, and the app that follows it: live, killed, and gone on with by the same command."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError

from ddpo.cli.main import main
from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import Compute
from ddpo.runs.checkpoints import CheckpointStore
from ddpo.runs.store import open_run
from tests.helpers.forks import PATIENCE
from tests.helpers.hub_server import HubServer
from tests.helpers.jobs import BASE, BUCKET, START, TINY, TOKEN, begin_job, run_job
from tests.helpers.jobs import hub as hub  # a fixture
from tests.helpers.object_store import MountedBucket, mounted_bucket, stop_at
from tests.helpers.serving import running_app
from tests.helpers.trainer_command import assert_same_weights, only_run
from tests.helpers.waiting import wait_for

LOOK = 0.5  # seconds between two questions to the app


@dataclass(frozen=True)
class Watched:
    """The app, as a program asks it, and the bucket that it sees through the Hub alone."""

    client: Client
    copies: Path
    mounted: MountedBucket

    def shown(self) -> dict[str, Any]:
        """What the app says of the only run."""
        return next(iter(self.client.predict(api_name="/list_runs")), {})

    def shows(self, epoch: int, pictures: int) -> bool:
        """Whether the app shows an epoch, and has every picture that is in the bucket."""
        there = grids(self.mounted.store)
        return len(there) == pictures and self.shown().get("epoch") == epoch and grids(self.copies) == there

    def see_it_train(self, job: subprocess.Popen[str]) -> str:
        """Look at a job where it stands still at its second picture, and then at its third; returns its run's id."""
        wait_for(lambda: self.shows(0, 2), PATIENCE, LOOK)
        facts = self.shown()
        assert facts["state"] == "running" and "in a job and is followed" in facts["notice"]
        with pytest.raises(AppError, match="The same command that started the job"):
            self.client.predict(facts["id"], api_name="/resume_run")
        stop_at(self.mounted.folder, "*/samples/00002.png")
        os.killpg(job.pid, signal.SIGCONT)
        wait_for(lambda: self.shows(1, 3), PATIENCE, LOOK)
        history = self.client.predict(facts["id"], True, api_name="/run_status")["history"]
        assert [line["epoch"] for line in history] == [1]
        return str(facts["id"])


def test_the_app_follows_a_job_live_that_is_killed_and_goes_on_by_the_same_command(
    hub: HubServer, tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of a job, as the Hub got it, really trains; another process, the app, sees only the Hub."""
    monkeypatch.setenv("DDPO_PRECISION", "float32")
    command = [*START, "--base", BASE, "--epochs", "2", *TINY]
    assert main(command) == 0
    variables = {
        "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1", "DDPO_RUNS": str(tmp_path / "runs"),
    }  # fmt: skip
    with mounted_bucket(tmp_path / "mounted") as mounted, running_app(tmp_path / "log.txt", **variables) as app:
        hub.bucket_folders[BUCKET] = mounted.store
        watched = Watched(Client(app.url, verbose=False), tmp_path / "home", mounted)
        stop_at(mounted.folder, "*/samples/00001.png")
        first = begin_job(hub, tmp_path / "first", mounted.folder)
        try:
            run_id = watched.see_it_train(first)
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.communicate()
        assert run_id.startswith("job-colourfulness-")
        wait_for(lambda: watched.shown()["state"] == "interrupted", PATIENCE, LOOK)
        assert CheckpointStore(mounted.store / "runs" / run_id / "checkpoints").steps()[-1] > 0
        assert main(command) == 0 and hub.jobs[0]["command"] == hub.jobs[1]["command"]
        done = run_job(hub, tmp_path / "second", mounted.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"The run {run_id} is in the bucket already, at step" in done.stdout and "Published: " in done.stdout
        wait_for(lambda: watched.shows(2, 3) and watched.shown()["state"] == "finished", PATIENCE, LOOK)
        assert load_model("me/church-ddpo", compute).unet.config["sample_size"] == 16
        files = [path for path in mounted.store.rglob("*") if path.is_file()]
        assert TOKEN not in done.stdout and not any(TOKEN.encode() in path.read_bytes() for path in files)
        with_one_thread(main, ["start", "--base", BASE, "--reward", "colourfulness", "--epochs", "2", *TINY])
        run, undisturbed = open_run(mounted.folder / "runs", run_id), only_run(tmp_path / "runs")
        assert_same_weights(run, undisturbed)
        assert [epoch.epoch for epoch in run.epochs()] == [1, 2]
        assert grids(tmp_path / "home") == grids(undisturbed.folder)
        assert "Traceback" not in app.log and TOKEN not in app.log
        asked = [request.path for request in hub.requests if run_id in request.path]
        assert asked and all("/buckets/" in path for path in asked) and not any("checkpoints" in path for path in asked)


def with_one_thread(command: Callable[[list[str]], int], words: list[str]) -> None:
    """Run a command here as a job runs it: sums of several threads are not the same bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert command(words) == 0
    finally:
        torch.set_num_threads(threads)


def grids(folder: Path) -> dict[str, bytes]:
    """The pictures of the only run in or below a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("samples/*.png"))}

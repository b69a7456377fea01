"""A Hub that takes jobs, and a job as the hardware runs it: a shell with nothing but the job's environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.here import ROOT
from tests.helpers.hub_server import HubServer, serving, use

TOKEN = "hf_aVerySecretToken"

BASE = "google/ddpm-tiny"

SPACE = "me/studio"

BUCKET = "me/ddpo-runs"

TINY = [
    "--batches-per-epoch", "1", "--batch-size", "4", "--accumulation", "1", "--sampling-steps", "4",
    "--trained-steps", "2", "--window", "random", "--group-size", "1",
]  # fmt: skip

START = ["start", "--on", "jobs:l4x1", "--code", SPACE, "--push-to", "me/church-ddpo", "--reward", "colourfulness"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> Iterator[HubServer]:
    """A Hub with a base and with this program as a Space, and `me` logged in."""
    space = tmp_path / "space"
    shutil.copytree(ROOT / "ddpo", space / "ddpo", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train_space.py", "requirements.txt"):
        shutil.copy(ROOT / name, space)
    with serving(HubServer(users={TOKEN: "me"}, readers={TOKEN + "ReadOnly": "me"})) as server:
        server.add(BASE, tiny_folder)
        server.add(f"spaces/{SPACE}", space)
        use(server, tmp_path / "cache", monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for name in ("DDPO_CODE", "SPACE_ID"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
        monkeypatch.chdir(tmp_path)
        yield server


def begin_job(hub: HubServer, container: Path, bucket: Path | None = None) -> subprocess.Popen[str]:
    """As `run_job`, without waiting; the bucket is mounted at a path of this machine rather than the container's."""
    job = hub.jobs[-1]
    container.mkdir()
    (mount,) = [volume["mountPath"] for volume in job["volumes"]]
    runs = job["environment"]["DDPO_RUNS"].replace(mount, str(bucket or container / "bucket"), 1)
    environment = {
        **job["environment"], **job["secrets"], "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(container), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "", "DDPO_RUNS": runs, "DDPO_PRECISION": "float32",
    }  # fmt: skip
    return subprocess.Popen(
        job["command"], cwd=container, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def run_job(hub: HubServer, container: Path, bucket: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The newest job's own command, as the Hub got it, in a shell with nothing but the job's environment."""
    process = begin_job(hub, container, bucket)
    out, err = process.communicate(timeout=500)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)

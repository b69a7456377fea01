"""Whole runs through train_space.py, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from ddpo.runs.store import Run, list_runs
from tests.helpers.serving import ROOT

TINY = [
    "--epochs", "3", "--batches-per-epoch", "2", "--batch-size", "4", "--accumulation", "1", "--sampling-steps", "4",
    "--trained-steps", "2", "--window", "random", "--group-size", "1", "--eta", "1", "--clip-range", "1e-4",
    "--inner-epochs", "2", "--ema-decay", "0.5", "--kl-weight", "0.1", "--learning-rate", "1e-3",
]  # fmt: skip

# `accelerate launch` starts several processes on GPUs only; on a CPU its processes come from torchrun.
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def command(root: Path, *arguments: object, launcher: Sequence[str] = (sys.executable,)) -> list[str]:
    return [*launcher, str(ROOT / "train_space.py"), "--root", str(root), *map(str, arguments)]


def environment(**variables: str) -> Mapping[str, str]:
    return {
        **os.environ, "DDPO_PRECISION": "float32", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "", **variables,
    }  # fmt: skip


def train_space(root: Path, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    launcher = options.pop("launcher", (sys.executable,))
    return subprocess.run(
        command(root, *arguments, launcher=launcher),  # type: ignore[arg-type]
        cwd=options.pop("cwd", ROOT), env=environment(), capture_output=True, text=True, timeout=240,  # type: ignore[call-overload]
    )  # fmt: skip


def start(root: Path, model: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return train_space(root, "start", "--base", model, "--reward", "colourfulness", *TINY, *arguments)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.result / "unet" / "diffusion_pytorch_model.safetensors")


def only_run(root: Path) -> Run:
    (run,) = list_runs(root)
    return run


def assert_same_weights(one: Run, other: Run, tolerance: float = 0.0) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert max(float((first[name] - second[name]).abs().max()) for name in first) <= tolerance

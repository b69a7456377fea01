"""Whole runs through train_space.py, in processes of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch
from safetensors.torch import load_file

from ddpo.runs.store import Run, list_runs
from tests.helpers.forks import train

TINY = [
    "--epochs", "3", "--batches-per-epoch", "2", "--batch-size", "4", "--accumulation", "1", "--sampling-steps", "4",
    "--trained-steps", "2", "--window", "random", "--group-size", "1", "--eta", "1", "--clip-range", "1e-4",
    "--inner-epochs", "2", "--ema-decay", "0.5", "--kl-weight", "0.1", "--learning-rate", "1e-3",
]  # fmt: skip


def start(root: Path, model: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return train(root, "start", "--base", model, "--reward", "colourfulness", *TINY, *arguments)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.result / "unet" / "diffusion_pytorch_model.safetensors")


def only_run(root: Path) -> Run:
    (run,) = list_runs(root)
    return run


def assert_same_weights(one: Run, other: Run, tolerance: float = 0.0) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert max(float((first[name] - second[name]).abs().max()) for name in first) <= tolerance

"""A run that is finished, with all that is published of it."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMScheduler
from PIL import Image

from ddpo.diffusion.models import save_model
from ddpo.runs.store import Run, RunSpec, create_run
from ddpo.training.recipes import get_recipe
from tests.helpers.models import make_unet

BASE = "google/ddpm-tiny"


def make_run(root: Path, base: str = BASE, pair: str | None = None, reward: str = "photographic") -> Run:
    """A run that was finished after 30 epochs, with its result, its metrics and its pictures."""
    config = get_recipe("quick").config
    run = create_run(root, RunSpec(pair, base, reward, "quick", config))
    for epoch in range(1, 31):
        mean = 4 + epoch / 10
        line = {
            "kind": "epoch", "step": epoch * 12, "epoch": epoch, "epochs": 30, "reward_mean": mean, "reward_std": 0.5,
            "reward_quantiles": [mean - 0.6, mean, mean + 0.6], "kl": epoch / 1000, "diversity": 1 - epoch / 200,
        }  # fmt: skip
        run.append_metrics(line)
    (run.folder / "samples").mkdir()
    for epoch, colour in ((0, "red"), (15, "blue"), (30, "green")):
        Image.new("RGB", (142, 16), colour).save(run.folder / "samples" / f"{epoch:05d}.png")
    save_model(make_unet(seed=3), dict(DDPMScheduler().config), run.result, torch.float32)
    run.write_status(state="finished", epoch=30, epochs=30, seconds=600.0)
    return run

"""church-256's network, with random weights, on a CUDA GPU in bfloat16: sampling, memory, and an epoch of DDPO.

    python -m benchmarks.gpu_church256

Writes benchmarks/results/gpu_church256.json; without a GPU it says so and measures nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.church256 import write_model
from benchmarks.machine import describe_machine

if TYPE_CHECKING:
    from ddpo.diffusion.models import DiffusionModel
    from ddpo.diffusion.precision import Compute

RESULTS = Path(__file__).resolve().parent / "results" / "gpu_church256.json"
SAMPLINGS = (("ddpm", 1000), ("ddim", 50), ("pndm", 50))
BATCH = 8


def sampling(model: DiffusionModel, compute: Compute, scheduler: str, steps: int, batch: int = BATCH) -> dict[str, Any]:
    """Seconds per image and the peak of the GPU's memory while a batch is drawn, after one step to warm up."""
    import torch

    from ddpo.diffusion.sampling import sample
    from ddpo.diffusion.schedulers import get_scheduler

    seeds = list(range(batch))
    warm_up = sample(model, seeds, get_scheduler(scheduler), steps, compute)
    next(warm_up)
    warm_up.close()
    forget_peak()
    started = time.perf_counter()
    for state in sample(model, seeds, get_scheduler(scheduler), steps, compute):
        last = state
    last.x_t.sum().item()  # waits for the GPU
    seconds = (time.perf_counter() - started) / batch
    return {
        "scheduler": scheduler, "steps": steps, "batch": batch, "seconds_per_image": round(seconds, 3),
        "peak_memory_mb": torch.cuda.max_memory_allocated() >> 20,
    }  # fmt: skip


def epoch(model: DiffusionModel, compute: Compute, **changes: Any) -> dict[str, Any]:
    """Seconds and peak memory of one epoch of the recipe `short`; the model is trained in place."""
    import torch

    from ddpo import rewards
    from ddpo.training.recipes import get_recipe
    from ddpo.training.trainer import Trainer

    config = replace(get_recipe("short").config, epochs=1, **changes)
    reward = rewards.load("jpeg-incompressibility", compute)
    forget_peak()
    trainer = Trainer(model.unet, model.noise_schedule, model.picture_shape, reward, config, compute)
    started = time.perf_counter()
    list(trainer.run())
    return {
        "recipe": "short", "samples": config.samples_per_epoch(), "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mb": torch.cuda.max_memory_allocated() >> 20,
    }  # fmt: skip


def forget_peak() -> None:
    """Begin the GPU's peak memory anew."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def main() -> None:
    """Measure, print and write."""
    import torch

    from ddpo.diffusion.models import load_model
    from ddpo.diffusion.precision import choose_compute

    if not torch.cuda.is_available():
        sys.exit("There is no CUDA GPU here, so nothing was measured.")
    compute = choose_compute("bfloat16")
    with tempfile.TemporaryDirectory() as folder:
        parameters = write_model(Path(folder), seed=0)
        model = load_model(folder, compute)
    results = {
        "machine": describe_machine(), "compute": str(compute), "parameters": parameters,
        "sampling": [sampling(model, compute, scheduler, steps) for scheduler, steps in SAMPLINGS],
        "epoch": epoch(model, compute),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

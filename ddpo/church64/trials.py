"""Short trainings that differ in one thing each, compared at equal time.

    python -m ddpo.church64 trials --work build/church-64

All train on the same drawings for the same number of steps, and a step of each takes the same time but for what is
said; the seconds are kept. Some begin with the weights in assets, which asks how an hour of further training is best
spent; some with random weights, as another architecture must. A trial that a kill stopped goes on where it was, and
one that is finished is not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffusers import UNet2DModel

from ddpo.church64.denoising import denoising_errors
from ddpo.church64.pretrain import PretrainConfig, Pretraining
from ddpo.church64.scene_pool import ScenePool
from ddpo.common.files import read_json, write_json
from ddpo.diffusion.precision import Compute

FURTHER = replace(PretrainConfig(), steps=300, new_scenes=0, warmup_steps=30, checkpoint_every=50, noise_uniform=0.2)
ANEW = replace(FURTHER, warmup_steps=100, checkpoint_every=100)


@dataclass(frozen=True)
class Trial:
    """A training to compare; `warm` begins with the weights given, else with random ones."""

    config: PretrainConfig
    warm: bool = True


TRIALS = {
    "ln sigma normal (-0.8, 1.6), 20% uniform": Trial(FURTHER),
    "as before: uniform timesteps, weight alpha_bar >= 0.25": Trial(
        replace(FURTHER, noise_uniform=1.0, weight_floor=0.25)
    ),
    "anew": Trial(ANEW, warm=False),
    "anew, timestep as scale and shift": Trial(replace(ANEW, time_conditioning="scale_shift"), warm=False),
    "40% uniform": Trial(replace(FURTHER, noise_uniform=0.4)),
    "learning rate 1e-3": Trial(replace(FURTHER, learning_rate=1e-3)),
    "learning rate 2.5e-4": Trial(replace(FURTHER, learning_rate=2.5e-4)),
    "uniform timesteps, plain v loss": Trial(replace(FURTHER, noise_uniform=1.0)),
}


def run_trials(work: Path, compute: Compute, warm: UNet2DModel) -> Iterator[dict[str, Any]]:
    """Run what is not finished yet, yielding all results after each trial, by its title.

    Args:
        work: where the trials keep their checkpoints, their drawings and `trials.json`.
        compute: device and dtype.
        warm: what trials begin with.
    """
    file = work / "trials.json"
    results: dict[str, Any] = read_json(file) if file.exists() else {}
    if "before" not in results:
        results["before"] = {"errors": _rounded(denoising_errors(warm, compute))}
    pool = ScenePool(work)
    for title, trial in TRIALS.items():
        if title in results:
            continue
        folder = work / f"trial-{list(TRIALS).index(title)}"
        training = Pretraining(trial.config, compute, folder, warm if trial.warm else None, pool=pool)
        start, first = time.process_time(), training.step
        for _ in training.run():
            pass
        seconds = (time.process_time() - start) / max(1, training.step - first)
        network = training.candidates()[f"average {trial.config.average_lengths[-1]}"]
        errors = _rounded(denoising_errors(network, compute))
        results[title] = {"errors": errors, "steps": training.step, "processor_seconds_a_step": round(seconds, 3)}
        write_json(file, results)
        yield results


def _rounded(errors: dict[str, float]) -> dict[str, float]:
    return {level: round(error, 5) for level, error in errors.items()}

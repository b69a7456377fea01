"""Short trainings that differ in one thing each, compared by the figure for fidelity at equal time.

    python -m ddpo.church64 trials --work build/church-64 --warm-start assets/church-64/base

All train the same network on the same drawings for the same number of steps, so equal steps are equal time. They begin
with the same weights: what is asked is how an hour of further training is best spent. The seconds are kept all the
same. A trial that a kill stopped goes on where it was, and one that is finished is not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddpo.church64.fidelity import FidelityMeter, as_json
from ddpo.church64.pretrain import PretrainConfig, Pretraining
from ddpo.church64.scene_pool import ScenePool
from ddpo.common.files import read_json, write_json
from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.pictures import to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample_pictures

SEEDS = range(40_000, 40_064)
STEPS = 25  # of DDIM
CHOSEN = replace(PretrainConfig(), steps=300, new_scenes=0, warmup_steps=30, checkpoint_every=50)
TRIALS = {
    "chosen: ln sigma normal (-0.8, 1.6), 20% uniform": CHOSEN,
    "uniform timesteps, weight alpha_bar >= 0.25, as before": replace(CHOSEN, noise_uniform=1.0, weight_floor=0.25),
    "ln sigma normal (-1.2, 1.2), 20% uniform": replace(CHOSEN, noise_mean=-1.2, noise_spread=1.2),
    "learning rate 1e-3": replace(CHOSEN, learning_rate=1e-3),
    "learning rate 2.5e-4": replace(CHOSEN, learning_rate=2.5e-4),
    "uniform timesteps, plain v loss": replace(CHOSEN, noise_uniform=1.0),
}


def run_trials(work: Path, compute: Compute, warm: DiffusionModel, meter: FidelityMeter) -> Iterator[dict[str, Any]]:
    """Run what is not finished yet, yielding the results after each trial: by its title, figures and seconds.

    Args:
        work: where the trials keep their checkpoints and pool.
        compute: device and dtype.
        warm: what every trial begins with.
        meter: measures 64 pictures of the longer average, DDIM 25.
    """
    file = work / "trials.json"
    results: dict[str, Any] = read_json(file) if file.exists() else {}
    if "before" not in results:
        results["before"] = as_json(meter(_draw(warm, compute)))
    pool = ScenePool(work)
    for number, (title, config) in enumerate(TRIALS.items()):
        if title in results:
            continue
        training = Pretraining(config, compute, work / f"trial-{number}", warm.unet, pool=pool)
        start, first = time.process_time(), training.step
        for _ in training.run():
            pass
        per_step = (time.process_time() - start) / max(1, training.step - first)
        network = training.candidates()[f"average {config.average_lengths[-1]}"]
        pictures = _draw(DiffusionModel(title, network, dict(training.schedule.config)), compute)
        results[title] = {**as_json(meter(pictures)), "processor_seconds_a_step": round(per_step, 3)}
        write_json(file, results)
        yield results


def _draw(model: DiffusionModel, compute: Compute) -> Any:
    return to_uint8(sample_pictures(model, list(SEEDS), "ddim", STEPS, compute))

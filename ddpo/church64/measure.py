"""Measures the bundled pair: draws the same seeds with both models and every scheduler, and compares them.

Pictures are kept as they are drawn, a file a batch, so that a measurement goes on after a kill.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ddpo import rewards
from ddpo.church64 import judge
from ddpo.church64.fidelity import FIRST_SCENE, SCENES, FidelityMeter, appearance, as_json
from ddpo.church64.parts import PartsClassifier
from ddpo.church64.scenes import draw_scenes
from ddpo.common.files import sha256
from ddpo.common.statistics import paired_statistics
from ddpo.diffusion.models import DiffusionModel, load_model
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample_pictures
from ddpo.training.diversity import diversity_kept

FIRST_SEED = 10_000  # of seeds that training never saw: its own are above 2^40
BATCH = {"cpu": 32, "cuda": 256}  # pictures at a time, by the device
SCHEDULES = {"ddim": (50, 256), "pndm": (50, 256), "ddpm": (1000, 256)}  # steps and seeds


def draw_pictures(model_folder: Path, scheduler: str, work: Path, compute: Compute) -> np.ndarray:
    """The pictures of all measured seeds: (N, H, W, 3) uint8. Batches that are on disk already are read."""
    steps, count = SCHEDULES[scheduler]
    size = BATCH[compute.device.type]  # in the name, as whoever loads a folder loads all of its batches
    folder = work / "pictures" / f"{model_folder.name}-{fingerprint(model_folder)}-{scheduler}-{steps}-by-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    model: DiffusionModel | None = None
    batches = []
    for first in range(FIRST_SEED, FIRST_SEED + count, size):
        path = folder / f"{first}.npy"
        if not path.exists():
            model = model or load_model(str(model_folder), compute)
            seeds = list(range(first, first + size))
            pictures = to_uint8(sample_pictures(model, seeds, scheduler, steps, compute, batch_size=size))
            part = path.with_suffix(".part.npy")
            np.save(part, pictures)
            part.replace(path)
        batches.append(np.load(path))
    return np.concatenate(batches)


def fingerprint(model_folder: Path) -> str:
    """Tells one set of weights from another, so that no picture of an older model is taken for one of this."""
    return sha256(model_folder / "unet" / "diffusion_pytorch_model.safetensors")[:8]


def measure(
    assets: Path, collapsed: Path, work: Path, reward: str, compute: Compute, classifier: PartsClassifier | None
) -> Iterator[dict[str, Any]]:
    """All figures of the card, yielded anew after each scheduler.

    Args:
        assets: folder with base/ and tuned/.
        collapsed: folder of a model that was collapsed on purpose, to check the measure of diversity on.
        work: where pictures are kept.
        reward: name of the reward that tuned/ was finetuned on.
        compute: device and dtype.
        classifier: finds the parts of churches; None leaves them out.
    """
    meter = FidelityMeter(classifier)
    results: dict[str, Any] = {
        "compute": str(compute),
        "reward": reward,
        "first_seed": FIRST_SEED,
        "scenes": {"count": SCENES, **appearance(draw_scenes(FIRST_SCENE, SCENES))},
        "collapsed_diversity_kept": _diversity_kept(
            draw_pictures(collapsed, "ddim", work, compute), draw_pictures(assets / "base", "ddim", work, compute)
        ),
        "fidelity": as_json(meter.of_drawings),
        "schedulers": {},
    }
    score, near_clear = rewards.load(reward, compute), judge.ClearWeatherJudge()
    for scheduler, (steps, _) in SCHEDULES.items():
        base, tuned = (draw_pictures(assets / model, scheduler, work, compute) for model in ("base", "tuned"))
        scores = [score(from_uint8(pictures)).tolist() for pictures in (base, tuned)]
        results["schedulers"][scheduler] = {
            "steps": steps,
            "base": appearance(base),
            "tuned": appearance(tuned),
            "statistics": asdict(paired_statistics(*scores)),
            "diversity_kept": _diversity_kept(tuned, base),
            "clear_weather": {"base": judge.as_json(near_clear(base)), "tuned": judge.as_json(near_clear(tuned))},
            "fidelity": {"base": as_json(meter(base)), "tuned": as_json(meter(tuned))},
        }
        yield results


def _diversity_kept(pictures: np.ndarray, reference: np.ndarray) -> float:
    return diversity_kept(from_uint8(pictures), from_uint8(reference))

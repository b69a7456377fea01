"""How a pretraining of many hours is followed: a line every 50 steps, a grid and figures every half hour."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddpo.church64.fidelity import FidelityMeter, as_json
from ddpo.church64.parts import PartsClassifier
from ddpo.church64.pretrain import Pretraining, PretrainProgress
from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.pictures import tile, to_uint8
from ddpo.diffusion.sampling import sample_pictures

SEEDS = range(20_000, 20_032)  # of the grids; the measured ones are others
STEPS = 25  # of DDIM, for the grids


class Watch:
    """Writes `progress.jsonl` and `grid-<step>.png` in a training's folder. Neither changes the training.

    Args:
        training: what is watched.
        every: seconds between two grids.
        classifier: finds the parts in the grids' pictures; None leaves them out.
    """

    def __init__(self, training: Pretraining, every: float, classifier: PartsClassifier | None) -> None:
        self.training, self.every, self.classifier = training, every, classifier
        self.last_grid = self.last_line = time.monotonic()
        self.last_cpu = time.process_time()
        self.meter: FidelityMeter | None = None

    def __call__(self, progress: PretrainProgress) -> None:
        """Take note of a report."""
        now, cpu = time.monotonic(), time.process_time()
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%d %H:%M:%S"),
            "step": progress.step,
            "loss": round(progress.loss, 5),
            "seconds": round(now - self.last_line, 1),
            "cpu_seconds": round(cpu - self.last_cpu, 1),
        }
        if now - self.last_grid >= self.every or progress.step == progress.steps:
            line["figures"] = self._figures(progress.step)
            self.last_grid = time.monotonic()
        self.last_line, self.last_cpu = time.monotonic(), time.process_time()
        with (self.training.folder / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _figures(self, step: int) -> dict[str, Any]:
        pictures = self._draw()
        sheet = Image.fromarray(tile(pictures))
        sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST).save(
            self.training.folder / f"grid-{step:06d}.png"
        )
        self.meter = self.meter or FidelityMeter(self.classifier, scenes=500)
        return as_json(self.meter(pictures))

    def _draw(self) -> np.ndarray:
        candidates = self.training.candidates()
        network = candidates[f"average {self.training.config.average_lengths[-1]}"]
        model = DiffusionModel(str(Path("pretraining")), network, dict(self.training.schedule.config))
        return to_uint8(sample_pictures(model, list(SEEDS), "ddim", STEPS, self.training.compute))

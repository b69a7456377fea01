"""Drawings kept on disk and added to as a training goes on, since drawing one takes as long as a tenth of a step.

A training that sees the same drawings again and again learns them by heart; drawing all of them afresh would take an
eighth of one core. The pool grows by a few drawings a step instead. How many it has is a function of the step, so
that a training goes on after a kill as if nothing had happened.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpo.church64.scenes import SIZE, draw_scenes

_BYTES = SIZE * SIZE * 3


class ScenePool:
    """The drawings of seeds 0, 1, 2, ... in one file: raw uint8, appended to.

    Args:
        folder: where the file is; made where it is missing. Drawings of an older `scenes.py` are in another file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        style = hashlib.sha256(draw_scenes(0, 8).tobytes()).hexdigest()[:8]
        self.path = folder / f"scenes-{style}.raw"
        self.path.touch()

    def __len__(self) -> int:
        return self.path.stat().st_size // _BYTES

    def grow(self, count: int) -> None:
        """Draw until there are so many. One process at a time may; any number may take what is there."""
        while (there := len(self)) < count:
            with self.path.open("r+b") as file:
                file.seek(there * _BYTES)  # over a drawing that a kill cut short
                file.write(draw_scenes(there, min(500, count - there)).tobytes())

    def take(self, chosen: Tensor) -> Tensor:
        """The drawings of these seeds (B,): (B, 3, 64, 64) float32 in [-1, 1]. Missing ones are drawn."""
        self.grow(int(chosen.max()) + 1)
        pictures = np.memmap(self.path, np.uint8, "r", shape=(len(self), SIZE, SIZE, 3))[chosen.numpy()]
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1

"""Drawings kept on disk and added to as a training goes on, since drawing one takes as long as a tenth of a step.

A training that sees the same drawings again and again learns them by heart; drawing all of them afresh would take an
eighth of one core. The pool grows by a few drawings a step instead. How many it has is a function of the step, so
that a training goes on after a kill as if nothing had happened. Many at once are drawn by several processes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpo.church64.scenes import SIZE, draw_scenes
from ddpo.common import machine

_BYTES = SIZE * SIZE * 3
AT_ONCE = 500  # drawings that are written together
WORTH_PROCESSES = 5_000  # drawings, which take one process 10 seconds


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
        self._on_gpu: Tensor | None = None

    def __len__(self) -> int:
        return self.path.stat().st_size // _BYTES

    def grow(self, count: int) -> None:
        """Draw until there are so many. One process at a time may; any number may take what is there."""
        there = len(self)
        if there >= count:
            return
        with self.path.open("r+b") as file:
            file.seek(there * _BYTES)  # over a drawing that a kill cut short
            for drawings in _draw(range(there, count)):
                file.write(drawings)

    def take(self, chosen: Tensor, device: torch.device) -> Tensor:
        """The drawings of these seeds (B,): (B, 3, 64, 64) float32 in [-1, 1] there. Missing ones are drawn."""
        self.grow(int(chosen.max()) + 1)
        if device.type == "cuda":
            return _pictures(self._all_on(device, len(self))[chosen.to(device)])
        there = np.memmap(self.path, np.uint8, "r", shape=(len(self), SIZE, SIZE, 3))
        return _pictures(torch.from_numpy(there[chosen.numpy()]))

    def _all_on(self, device: torch.device, count: int) -> Tensor:
        """All drawings in the GPU's memory, a GB for 80,000: a GPU would wait for them to be picked out of the file."""
        if self._on_gpu is None or len(self._on_gpu) < count:
            self._on_gpu = None  # before there are two of them
            there = np.fromfile(self.path, np.uint8, count * _BYTES).reshape(count, SIZE, SIZE, 3)
            self._on_gpu = torch.from_numpy(there).to(device)
        return self._on_gpu


def _pictures(drawings: Tensor) -> Tensor:
    """(B, 64, 64, 3) uint8 to (B, 3, 64, 64) float32 in [-1, 1]."""
    return drawings.permute(0, 3, 1, 2).float() / 127.5 - 1


def _draw(seeds: range) -> Iterator[bytes]:
    """The drawings of these seeds in order, some hundred at a time."""
    parts = [seeds[first : first + AT_ONCE] for first in range(0, len(seeds), AT_ONCE)]
    if len(seeds) < WORTH_PROCESSES:
        yield from map(_drawn, parts)
        return
    with ProcessPoolExecutor(machine.cores(), multiprocessing.get_context("spawn")) as processes:
        yield from processes.map(_drawn, parts)


def _drawn(seeds: range) -> bytes:
    return draw_scenes(seeds.start, len(seeds)).tobytes()

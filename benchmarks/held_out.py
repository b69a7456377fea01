"""What a finetuned church-64 is looked at with: seeds that no run draws, beside the base's pictures of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from ddpo import rewards
from ddpo.church64.judge import ClearWeatherJudge
from ddpo.common.statistics import paired_statistics
from ddpo.diffusion.catalogue import DEFAULT_PAIR
from ddpo.diffusion.models import load_model
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.diffusion.sampling import sample_pictures
from ddpo.runs.pairs import get_pair
from ddpo.training.config import TrainConfig
from ddpo.training.diversity import diversity_kept
from ddpo.training.trainer import Trainer

REWARD = "photographic"
FIRST_SEED = 20_000  # of those that no run draws
SEEDS, STEPS = 64, 50  # how many of them, and steps of DDIM, unless a benchmark says otherwise


class Eye:
    """Draws a network's pictures of the held-out seeds, in the precision of the app, and compares them with the base's.

    Args:
        count: seeds, from FIRST_SEED on.
        steps: of DDIM.
        reward: name of what scores the pictures.
    """

    def __init__(self, count: int = SEEDS, steps: int = STEPS, reward: str = REWARD) -> None:
        self.seeds, self.steps, self.compute = range(FIRST_SEED, FIRST_SEED + count), steps, choose_compute()
        self.base = load_model(get_pair(DEFAULT_PAIR).base, self.compute)
        self.reward = rewards.load(reward, self.compute)
        self.base_pictures = self.draw(self.base.unet)
        self.base_scores = self.reward(from_uint8(self.base_pictures)).tolist()

    @functools.cached_property
    def judge(self) -> ClearWeatherJudge:
        """The judge that is not the reward."""
        return ClearWeatherJudge()

    def draw(self, unet: nn.Module, seeds: Sequence[int] | None = None) -> np.ndarray:
        """The pictures of seeds, of all held-out ones by default: (N, H, W, 3) uint8."""
        model = replace(self.base, unet=unet)
        return to_uint8(sample_pictures(model, list(seeds or self.seeds), "ddim", self.steps, self.compute))

    def look(self, pictures: np.ndarray) -> dict[str, float]:
        """Gain, wins and diversity of the pictures of all held-out seeds."""
        found = paired_statistics(self.base_scores, self.reward(from_uint8(pictures)).tolist())
        return {
            "gain": round(found.gain_in_sd or 0.0, 3), "win_rate": round(found.win_rate, 3),
            "diversity": round(diversity_kept(from_uint8(pictures), from_uint8(self.base_pictures)), 3),
        }  # fmt: skip


def start(config: TrainConfig, compute: Compute) -> Trainer:
    """A trainer of church-64's base on the reward."""
    base = load_model(get_pair(DEFAULT_PAIR).base, compute)
    return Trainer(
        base.unet, base.noise_schedule, base.picture_shape, rewards.load(REWARD, compute), config, compute,
        scheduler_config=base.scheduler_config,
    )  # fmt: skip


def epochs(trainer: Trainer) -> Iterator[int]:
    """Train to the end; the number of each epoch when it is done."""
    for event in trainer.run():
        if event.finished_epoch:
            yield trainer.epoch

"""A network whose optimum is known: the exact denoiser of Gaussian data, with an offset for each step to be learned."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from ddpo.diffusion.step import NoiseSchedule
from ddpo.training.events import EpochMetrics
from ddpo.training.trainer import Trainer

SHAPE = (3, 16, 16)
SCHEDULE = NoiseSchedule(DDPMScheduler().alphas_cumprod, "epsilon", None)
STEPS = 5


class GaussianDenoiser(nn.Module):
    """The exact epsilon of data N(0, spread^2), plus one offset per step that can be learned."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread
        self.offset = nn.Parameter(torch.zeros(STEPS))

    def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
        alpha_bar = SCHEDULE.alpha_bar(t.expand(len(x_t)), x_t)
        exact = (1 - alpha_bar).sqrt() / (alpha_bar * self.spread**2 + 1 - alpha_bar) * x_t
        index = STEPS - 1 - t.expand(len(x_t)) // (SCHEDULE.num_timesteps // STEPS)
        return SimpleNamespace(sample=exact + self.offset[index].view(-1, 1, 1, 1))


def epochs(trainer: Trainer) -> Iterator[EpochMetrics]:
    for event in trainer.run():
        if event.finished_epoch is not None:
            yield event.finished_epoch


def brightness(pictures: Tensor) -> Tensor:
    """A linear reward: the mean of all pixels."""
    return pictures.mean(dim=(1, 2, 3))

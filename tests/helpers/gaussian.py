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


class FieldDenoiser(nn.Module):
    """The exact x_0 of pictures of flat Gaussian fields, 2 x 2 of three channels, with gains that can be learned.

    Without a gain it draws what the data are, as far as the sampler does. A gain for each of ten bands of timesteps is
    enough to learn the denoiser of fields that vary less: a network that is trained on its own samples becomes that.
    """

    schedule = NoiseSchedule(DDPMScheduler().alphas_cumprod, "sample", None)
    variance = 4.0  # of a field's coordinate, 8 times its level: levels have a standard deviation of 0.25
    sensitivity = 10.0  # change of a gain with its weight, so that learning rates of networks suit it

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(10))

    def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
        t = t.expand(len(x_t))
        alpha_bar = self.schedule.alpha_bar(t, x_t)
        fields = nn.functional.avg_pool2d(x_t, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
        shrunk = alpha_bar.sqrt() * self.variance / (alpha_bar * self.variance + 1 - alpha_bar) * fields
        return SimpleNamespace(sample=shrunk * (1 + self.sensitivity * self.gain[t // 100].view(-1, 1, 1, 1)))

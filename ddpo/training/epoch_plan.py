"""What a run does when, from its settings and the epoch alone: alike on all processes, and after a stop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ddpo.diffusion.step import leading_timesteps, trailing_timesteps
from ddpo.training.config import TrainConfig
from ddpo.training.random_streams import mix_seed
from ddpo.training.rollout import RolloutPlan


@dataclass(frozen=True)
class EpochPlan:
    """The course of one epoch."""

    orders: list[list[int]]  # of the batches, for each inner epoch
    steps: list[list[int]]  # that are trained on, for each part of each batch; none with algorithm rwr
    shifts: list[float]  # of the timesteps of each part, in [0, 1) of the distance between two

    def rollout(self, part: int, config: TrainConfig, num_timesteps: int) -> RolloutPlan:
        """How a part is sampled.

        Args:
            part: 0 .. batches_per_epoch * accumulation - 1.
            config: of the run.
            num_timesteps: T of the noise schedule.
        """
        recorded, steps = tuple(self.steps[part]), config.sampling_steps
        if config.timesteps == "leading":
            timesteps = leading_timesteps(steps, num_timesteps)
        else:
            timesteps = trailing_timesteps(steps, num_timesteps, self.shifts[part])
        return RolloutPlan(
            timesteps=tuple(timesteps),
            eta=config.eta,
            recorded=recorded,
            window=None if config.window == "random" else range(recorded[0], recorded[-1] + 1),
            redrawn=config.algorithm == "draft",
            group_size=config.group_size,
        )


def plan_epoch(epoch: int, config: TrainConfig) -> EpochPlan:
    """Draw the course of an epoch, 0 .. config.epochs - 1."""
    rng = torch.Generator().manual_seed(mix_seed(config.seed + 1, epoch))
    parts = config.batches_per_epoch * config.accumulation
    orders: list[list[int]] = []
    steps: list[list[int]] = [[]] * parts
    for inner in range(config.inner_epochs):
        orders.append(torch.randperm(config.batches_per_epoch, generator=rng).tolist())
        if inner == 0:
            for batch in orders[0]:
                for part in range(batch * config.accumulation, (batch + 1) * config.accumulation):
                    steps[part] = _draw_steps(epoch * parts + part, config, rng)
    shifts = torch.rand(parts, generator=rng).tolist() if config.shift_timesteps else [0.0] * parts
    return EpochPlan(orders, steps, shifts)


def _draw_steps(number: int, config: TrainConfig, rng: torch.Generator) -> list[int]:
    """The trained steps of a part, the number-th of the run; a policy's are never the last step of a trajectory."""
    if config.algorithm == "rwr":
        return []
    if config.algorithm == "draft":
        count = config.trained_steps
        if config.truncation == "random":
            count = int(torch.randint(1, count + 1, (1,), generator=rng))
        return list(range(config.sampling_steps - count, config.sampling_steps))
    if config.window == "random":
        return torch.randperm(config.sampling_steps - 1, generator=rng)[: config.trained_steps].tolist()
    starts = config.window_starts
    index = number if config.window == "sliding" else int(torch.randint(len(starts), (1,), generator=rng))
    start = starts[index % len(starts)]
    return list(range(start, start + config.trained_steps))


def learning_rate_factor(epoch: int, config: TrainConfig, done: float = 0.0) -> float:
    """Linear warm-up, and a line or half a cosine from 1 down to config.final_learning_rate; in [0, 1].

    Args:
        epoch: 0 .. config.epochs - 1.
        config: of the run.
        done: share of the epoch's updates before this one, which counts with config.rate_per update.
    """
    warm, epochs = config.warmup_epochs, config.epochs
    if config.rate_per == "epoch":  # the first epoch has a rate above 0, and the last one the final rate
        risen, now, last = (epoch + 1) / (warm + 1), float(epoch), float(epochs - 1)
    else:
        now, last = epoch + done, float(epochs)
        risen = now / warm if warm > 0 else 1.0
    rise = config.warmup_from + (1 - config.warmup_from) * min(1.0, risen)
    if config.decay_from == "start":
        return rise * _decay(now, max(1.0, last), config)
    return rise if now < warm else _decay(now - warm, max(1.0, last - warm), config)


def _decay(now: float, last: float, config: TrainConfig) -> float:
    """From 1 at 0 to config.final_learning_rate at `last`."""
    final, now = config.final_learning_rate, min(now, last)
    if config.decay == "line":
        return 1 - (1 - final) * now / last
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * now / last))

"""What a run does when, from its settings and the epoch alone: alike on all processes, and after a stop."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ddpo.diffusion.step import trailing_timesteps
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
        recorded = tuple(self.steps[part])
        return RolloutPlan(
            timesteps=tuple(trailing_timesteps(config.sampling_steps, num_timesteps, self.shifts[part])),
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


def learning_rate_factor(epoch: int, config: TrainConfig) -> float:
    """Linear warm-up, times a straight line from 1 down to config.final_learning_rate; in [0, 1].

    Args:
        epoch: 0 .. config.epochs - 1.
        config: of the run.
    """
    warm_up = min(1.0, (epoch + 1) / (config.warmup_epochs + 1))
    return warm_up * (1 - (1 - config.final_learning_rate) * epoch / max(1, config.epochs - 1))

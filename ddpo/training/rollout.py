"""Trajectories of a policy with their log-probabilities: the samples that DDPO learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ddpo.diffusion.sampling import Policy, draw_noise


@dataclass(frozen=True)
class RolloutPlan:
    """How trajectories are sampled, and which of their steps are kept.

    With a window only its steps are noisy and all others are deterministic (MixGRPO, Li et al. 2025), and the members
    of a group share their starting noise and all steps before it, which are computed once (Flow-GRPO-Fast, Liu et al.
    2025).
    """

    timesteps: tuple[int, ...]  # S of them, falling
    eta: float = 1.0  # share of DDPM's noise in the noisy steps, in (0, 1]
    recorded: tuple[int, ...] | None = None  # steps to keep, each in 0 .. S - 1, in the order wanted; None: all
    window: range | None = None  # the steps that are noisy; None: all but the last
    redrawn: bool = False  # the recorded steps will be taken again, so that only the state before them is kept
    group_size: int = 1  # samples in a group, a divisor of their number; above 1 only with a window

    @property
    def previous_timesteps(self) -> tuple[int, ...]:
        """t_prev of every step; -1 for the last."""
        return (*self.timesteps[1:], -1)

    @property
    def kept(self) -> list[int]:
        """The states to keep, each once: those before and after the recorded steps; state i is before step i."""
        recorded = range(len(self.timesteps)) if self.recorded is None else self.recorded
        if self.redrawn:
            return [min(recorded)]
        return sorted({state for step in recorded for state in (step, step + 1)})


@dataclass(frozen=True)
class Trajectory:
    """What a policy did: B finished pictures, and K of the steps that led to them."""

    pictures: Tensor  # (B, C, H, W) float32 in [-1, 1]
    states: Tensor  # (M, B, C, H, W) float32, in the order of the trajectory; each once, as most follow on another
    places: Tensor  # (K,) int64, where in `states` the one before each step lies; the one after it is the next. (1,)
    # with the first step's alone, where the steps will be taken again
    timesteps: Tensor  # (K,) int64, t of each step; whole numbers are on the CPU wherever the others are
    previous_timesteps: Tensor  # (K,) int64, t_prev of each step; -1 for the last of a trajectory
    log_probs: Tensor  # (K, B) float32, averaged over pixels; 0 where the step is deterministic

    def before(self, index: int) -> Tensor:
        """x_t before the index-th of the K steps: (B, C, H, W)."""
        return self.states[int(self.places[index])]

    def after(self, index: int) -> Tensor:
        """x_{t-1} after the index-th of the K steps, which is the action: (B, C, H, W)."""
        return self.states[int(self.places[index]) + 1]

    @classmethod
    def from_dict(cls, tensors: dict[str, Any], device: torch.device) -> Trajectory:
        """The trajectory of which `vars` was taken, on a device. Other entries are left alone.

        Earlier versions kept the states before the steps and those after them apart.
        """
        if "actions" in tensors:
            pairs = torch.stack((tensors["states"], tensors["actions"]), 1).flatten(0, 1)
            tensors = {**tensors, "states": pairs, "places": torch.arange(0, len(pairs), 2)}
        found = {field.name: tensors[field.name] for field in fields(cls)}
        return cls(**{name: x.to(device) if x.is_floating_point() else x.cpu() for name, x in found.items()})


@torch.no_grad()
def roll_out(
    policy: Policy,
    rngs: Sequence[torch.Generator],
    shape: tuple[int, int, int],
    plan: RolloutPlan,
    device: torch.device,
) -> Trajectory:
    """Sample trajectories: x_{t-1} = mu_theta(x_t, t) + sigma_t z, step by step (Black et al. 2023, algorithm 1).

    Args:
        policy: what is sampled from.
        rngs: B generators, the noise of each sample; a group starts from the noise of its first.
        shape: (C, H, W) of a sample.
        plan: the steps.
        device: of the samples.
    """
    steps = len(plan.timesteps)
    noisy = range(steps - 1) if plan.window is None else plan.window
    recorded = range(steps) if plan.recorded is None else plan.recorded
    x_t = draw_noise(rngs[:: plan.group_size], shape, device)
    kept, states, log_probs = plan.kept, {}, {}  # by state, and by step
    for index, (t, t_prev) in enumerate(zip(plan.timesteps, plan.previous_timesteps, strict=True)):
        if index == noisy.start:
            x_t = x_t.repeat_interleave(plan.group_size, 0)  # (B, C, H, W) from here on
        now = torch.full((len(x_t),), t, device=device)
        if index in kept:
            states[index] = x_t
        is_noisy = index in noisy
        step = policy(x_t, now, torch.full_like(now, t_prev), plan.eta if is_noisy else 0.0)
        x_prev = step.sample(draw_noise(rngs, shape, device)) if is_noisy else step.mean
        if index in recorded:
            log_probs[index] = step.log_prob(x_prev)
        x_t = x_prev
    if steps in kept:
        states[steps] = x_t
    return Trajectory(
        pictures=x_t.clamp(-1, 1),
        states=_stacked([states[index] for index in kept], x_t),
        places=torch.tensor([kept.index(index) for index in recorded if index in kept], dtype=torch.int64),
        timesteps=torch.tensor([plan.timesteps[index] for index in recorded], dtype=torch.int64),
        previous_timesteps=torch.tensor([plan.previous_timesteps[index] for index in recorded], dtype=torch.int64),
        log_probs=_stacked([log_probs[index] for index in recorded], x_t.new_empty(len(x_t))),
    )


def _stacked(tensors: list[Tensor], like: Tensor) -> Tensor:
    """(K, *like.shape), also for K = 0."""
    return torch.stack(tensors) if tensors else like.new_empty(0, *like.shape)

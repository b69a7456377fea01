"""Trajectories of a policy with their log-probabilities: the samples that DDPO learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

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
    group_size: int = 1  # samples in a group, a divisor of their number; above 1 only with a window

    @property
    def previous_timesteps(self) -> tuple[int, ...]:
        """t_prev of every step; -1 for the last."""
        return (*self.timesteps[1:], -1)


@dataclass(frozen=True)
class Trajectory:
    """What a policy did: B finished pictures, and K of the steps that led to them."""

    pictures: Tensor  # (B, C, H, W) float32 in [-1, 1]
    states: Tensor  # (K, B, C, H, W) float32, x_t before each of the steps
    actions: Tensor  # (K, B, C, H, W) float32, x_{t-1} after it
    timesteps: Tensor  # (K,) int64, t of each step; on the CPU wherever the others are
    previous_timesteps: Tensor  # (K,) int64, t_prev of each step; -1 for the last of a trajectory
    log_probs: Tensor  # (K, B) float32, averaged over pixels; 0 where the step is deterministic

    @classmethod
    def from_dict(cls, tensors: dict[str, Tensor], device: torch.device) -> Trajectory:
        """The trajectory of which `vars` was taken, on a device. Other entries are left alone."""
        return cls(
            **{
                field.name: tensors[field.name].to("cpu" if "timesteps" in field.name else device)
                for field in fields(cls)
            }
        )


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
    states, actions, log_probs = {}, {}, {}  # by step
    for index, (t, t_prev) in enumerate(zip(plan.timesteps, plan.previous_timesteps, strict=True)):
        if index == noisy.start:
            x_t = x_t.repeat_interleave(plan.group_size, 0)  # (B, C, H, W) from here on
        now = torch.full((len(x_t),), t, device=device)
        is_noisy = index in noisy
        step = policy(x_t, now, torch.full_like(now, t_prev), plan.eta if is_noisy else 0.0)
        x_prev = step.sample(draw_noise(rngs, shape, device)) if is_noisy else step.mean
        if index in recorded:
            states[index], actions[index] = x_t, x_prev
            log_probs[index] = step.log_prob(x_prev)
        x_t = x_prev
    return Trajectory(
        pictures=x_t.clamp(-1, 1),
        states=_stacked([states[index] for index in recorded], x_t),
        actions=_stacked([actions[index] for index in recorded], x_t),
        timesteps=torch.tensor([plan.timesteps[index] for index in recorded], dtype=torch.int64),
        previous_timesteps=torch.tensor([plan.previous_timesteps[index] for index in recorded], dtype=torch.int64),
        log_probs=_stacked([log_probs[index] for index in recorded], x_t.new_empty(len(x_t))),
    )


def _stacked(tensors: list[Tensor], like: Tensor) -> Tensor:
    """(K, *like.shape), also for K = 0."""
    return torch.stack(tensors) if tensors else like.new_empty(0, *like.shape)

"""DDPO's objective (Black et al. 2023, section 4.3) as pure functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def advantages(rewards: Tensor, clip: float) -> Tensor:
    """Rewards, standardised over all samples of the epoch (on all processes) and clipped.

    Args:
        rewards: (N,) float32.
        clip: largest absolute advantage, > 0.

    Returns:
        (N,) float32 in [-clip, clip]; all zero where the rewards are all equal.
    """
    centred = rewards - rewards.mean()
    return (centred / (rewards.std(unbiased=False) + 1e-8)).clamp(-clip, clip)


@dataclass(frozen=True)
class Surrogate:
    """The policy loss of a batch and what tells a healthy step from a sick one."""

    loss: Tensor  # () to be minimised
    ratio: Tensor  # (B,) importance ratios, detached
    clip_fraction: Tensor  # () share of the samples whose ratio is outside the clip range


def clipped_surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip_range: float) -> Surrogate:
    """DDPO-IS (equation 4 with PPO's clipping, Schulman et al. 2017, equation 7).

    L = -min(rho A, clip(rho, 1 - eps, 1 + eps) A) with rho = exp(log p_theta - log p_theta_old).

    Args:
        log_prob: (B,) float32 of the actions under the policy that is being trained.
        old_log_prob: (B,) float32 under the policy that sampled them.
        advantage: (B,) float32.
        clip_range: eps > 0.
    """
    ratio = torch.exp(log_prob - old_log_prob)
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
    outside = ((ratio.detach() - 1).abs() > clip_range).float().mean()
    return Surrogate(loss=loss, ratio=ratio.detach(), clip_fraction=outside)

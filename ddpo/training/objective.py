"""DDPO's objective (Black et al. 2023, section 4.3) as pure functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def advantages(rewards: Tensor, clip: float, group_size: int = 1, leave_one_out: bool = False) -> Tensor:
    """Rewards less a baseline, over their standard deviation, clipped.

    The baseline is the mean of the samples that compete: of all samples of the epoch on all processes, or, with groups,
    of the group, as the paper's per-prompt statistics and GRPO (Shao et al. 2024) have it. All are then divided by one
    standard deviation about the baselines, so that a group whose members hardly differ counts little (Liu et al. 2025,
    "Dr. GRPO", on dividing by each group's own).

    Args:
        rewards: (N,) float32, the members of a group side by side.
        clip: largest absolute advantage, > 0.
        group_size: samples in a group, a divisor of N; 1 is one group of all.
        leave_one_out: the baseline of a sample is the mean of the others (Kool et al. 2019), which is unbiased.

    Returns:
        (N,) float32 in [-clip, clip]; all zero where the rewards of every group are equal.
    """
    values = rewards.double()  # a mean of float32 is off by more than the 1e-8 below
    groups = values.view(-1, group_size) if group_size > 1 else values.view(1, -1)
    equal = groups.amax(1, keepdim=True) == groups.amin(1, keepdim=True)
    centred = (groups - groups.mean(1, keepdim=True)).masked_fill(equal, 0.0)
    deviation = centred.square().mean().sqrt()
    count = groups.shape[1]
    if leave_one_out and count > 1:
        centred = centred * (count / (count - 1))  # r - mean of the others = n / (n - 1) (r - mean of all)
    return (centred / (deviation + 1e-8)).clamp(-clip, clip).flatten().float()


def reward_weight(diversity: float, floor: float) -> float:
    """How much the reward counts against the KL penalty: 1, halved with every 0.04 that the diversity is below a floor.

    PPO and RLHF change the weight of the penalty so as to hold the KL divergence at a target (Schulman et al. 2017,
    section 4; Ziegler et al. 2019, section 2.2). But the KL at which pictures become alike differs from reward to
    reward, so their diversity is held here; and by less reward, not more penalty, as Adam's steps then do not grow.

    Args:
        diversity: of the samples that are trained on, as a share of the base's.
        floor: in [0, 1]; with 0 the reward always counts in full.
    """
    return 2.0 ** (-max(0.0, floor - diversity) / 0.04)


def regression_weights(advantage: Tensor, temperature: float) -> Tensor:
    """Weights of reward-weighted regression (Black et al. 2023, section 4.2; Peters and Schaal 2007).

    w = exp(A / temperature), scaled to a mean of 1.

    Args:
        advantage: (N,) float32, of all samples of the epoch on all processes.
        temperature: > 0; the smaller it is, the more the best samples count.

    Returns:
        (N,) float32 >= 0.
    """
    return torch.softmax(advantage / temperature, 0) * len(advantage)


def score_function_loss(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """DDPO-SF (equation 3): the loss () whose gradient is REINFORCE's, true for samples of the current policy only.

    Args:
        log_prob: (B,) float32 of the actions.
        advantage: (B,) float32.
    """
    return -(advantage * log_prob).mean()


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

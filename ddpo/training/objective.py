"""DDPO's objective (Black et al. 2023, section 4.3) as pure functions of tensors, the sum of its terms included.

`total_loss` is what an optimizer step minimises; the other functions make what it is given. Two algorithms minimise
another sum: `regression_loss` (RWR) and `reward_gradient_loss` (DRaFT).
"""

from __future__ import annotations

import math
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


def standard_deviation(rewards: Tensor) -> float:
    """Of rewards (N,) float32; exactly 0 where all are equal."""
    return 0.0 if rewards.max() == rewards.min() else float(rewards.double().std(unbiased=False))


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

    w = exp(r / temperature) / Z, scaled to a mean of 1. The paper has rewards here, with beta = 1 / temperature;
    advantages in their place make one temperature do for rewards of every unit.

    Args:
        advantage: (N,) float32, advantages or rewards, of all samples of the epoch on all processes.
        temperature: > 0; the smaller it is, the more the best samples count.

    Returns:
        (N,) float32 >= 0.
    """
    return torch.softmax(advantage / temperature, 0) * len(advantage)


def sparse_weights(rewards: Tensor, share: float) -> Tensor:
    """Weights of the sparse form (Black et al. 2023, section 4.2): w = 1[r >= C], scaled to a mean of 1.

    Args:
        rewards: (N,) float32, of all samples of the epoch on all processes.
        share: of the samples, in (0, 1], that reach C, the lowest of them rounded up; more where rewards are equal.

    Returns:
        (N,) float32 >= 0.
    """
    count = max(1, math.ceil(share * len(rewards) - 1e-9))
    reached = (rewards >= rewards.topk(count).values[-1]).float()
    return reached / reached.mean()


def regression_loss(error: Tensor, weights: Tensor, kl: Tensor | None = None, kl_weight: float = 0.0) -> Tensor:
    """Reward-weighted regression (Black et al. 2023, section 4.2), with a penalty towards the base:

        L = E[w ||target - prediction||^2] + kl_weight * E[KL(theta || base)]

    Args:
        error: (B,) float32, squared errors of the network's prediction, averaged over the pixels.
        weights: (B,) float32, of `regression_weights` or `sparse_weights`.
        kl: (B,) float32, divergence of a sampler's step from the base's; None where there is no penalty.
        kl_weight: >= 0.
    """
    loss = (weights * error).mean()
    return loss if kl is None else loss + kl_weight * kl.mean()


def reward_gradient_loss(
    reward: Tensor, change: Tensor, scale: float, output_penalty: float = 0.0, reward_weight: float = 1.0
) -> Tensor:
    """What DRaFT minimises (Clark et al. 2023), with a penalty towards the base:

        L = -reward_weight * E[r(x_0)] / scale + output_penalty * E[||f_theta(x_t) - f_base(x_t)||^2]

    The gradient goes through the reward and the steps that led to x_0. Rewards count in units of one standard
    deviation, so that a penalty means the same for every reward. The last step is deterministic and so has no KL
    divergence; the squared change of the network's output f takes its place.

    Args:
        reward: (B,) float32, of pictures, with its gradient.
        change: (B,) float32, squared change of the output, averaged over the pixels.
        scale: > 0, standard deviation of the base's rewards.
        output_penalty: >= 0; with 0 the change is only watched.
        reward_weight: in (0, 1], of `reward_weight`.
    """
    total = -reward_weight * reward.mean() / scale
    return total + output_penalty * change.mean() if output_penalty > 0 else total


@dataclass(frozen=True)
class StepLoss:
    """The loss of a batch at one denoising step, and what tells a healthy step from a sick one."""

    total: Tensor  # () to be minimised
    ratio: Tensor  # (B,) importance ratios, detached
    clip_fraction: Tensor  # () share of the samples whose ratio is outside the clip range
    kl: Tensor | None  # () to the base, averaged over the pixels, detached; None where it was not given


def total_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    kl: Tensor | None,
    clip_range: float | None,
    kl_weight: float = 0.0,
    reward_weight: float = 1.0,
) -> StepLoss:
    """What DDPO minimises: reward_weight * L(theta) + kl_weight * KL(theta || base).

    DDPO-IS (equation 4 with PPO's clipping, Schulman et al. 2017, equation 7), with rho = p_theta / p_theta_old:
        L = -E[min(rho A, clip(rho, 1 - eps, 1 + eps) A)]
    DDPO-SF (equation 3), which holds for samples of the current policy only:
        L = -E[A log p_theta]

    Args:
        log_prob: (B,) float32, log p_theta(x_{t-1} | x_t) of the actions, with its gradient.
        old_log_prob: (B,) float32, the same under the policy that sampled them.
        advantage: (B,) float32, of `advantages`.
        kl: (B,) float32, divergence of the policy's step from the base's; None where it is not known.
        clip_range: eps > 0 of DDPO-IS; None is DDPO-SF.
        kl_weight: >= 0; with 0 the divergence is only watched.
        reward_weight: in (0, 1], of `reward_weight`.
    """
    ratio = torch.exp(log_prob - old_log_prob)
    if clip_range is None:
        policy_loss = -(advantage * log_prob).mean()
        outside = torch.zeros_like(ratio)
    else:
        clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
        policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        outside = ((ratio.detach() - 1).abs() > clip_range).float()
    total = reward_weight * policy_loss
    if kl is not None and kl_weight > 0:
        total = total + kl_weight * kl.mean()
    return StepLoss(total, ratio.detach(), outside.mean(), None if kl is None else kl.detach().mean())

"""The losses of samples that are trained on, with every algorithm: here the networks are evaluated.

What is made of their predictions is objective.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import Policy, bind, draw_noise, generators, policy_of
from ddpo.diffusion.step import GaussianStep, NoiseSchedule, denoising_step, diffuse
from ddpo.rewards import Reward
from ddpo.training.config import TrainConfig
from ddpo.training.draft import RewardGradient
from ddpo.training.epoch import Part
from ddpo.training.events import UpdateMetrics
from ddpo.training.objective import regression_loss, total_loss
from ddpo.training.processes import Processes
from ddpo.training.random_streams import mix_seed


@dataclass(frozen=True)
class LossFigures:
    """What tells of the backward passes of an optimizer step; those of several are added."""

    loss: float = 0.0  # what was minimised
    kl: float = 0.0  # sum of the measured divergences
    kl_count: float = 0.0  # how many were measured
    change: float = 0.0  # sum of the measured changes of the network's output against the base's, squared
    change_count: float = 0.0
    clip_fraction: float = 0.0  # sum over the steps
    ratio_deviation: float = 0.0  # largest |rho - 1|, of this process

    def __add__(self, other: LossFigures) -> LossFigures:
        """Sums, and the larger deviation."""
        return LossFigures(
            self.loss + other.loss,
            self.kl + other.kl,
            self.kl_count + other.kl_count,
            self.change + other.change,
            self.change_count + other.change_count,
            self.clip_fraction + other.clip_fraction,
            max(self.ratio_deviation, other.ratio_deviation),
        )

    def averaged(self, processes: Processes) -> LossFigures:
        """The mean over all processes, but for the deviation."""
        sums = [self.loss, self.kl, self.kl_count, self.change, self.change_count, self.clip_fraction]
        figures = torch.tensor(sums, dtype=torch.float64)
        processes.average([figures])
        loss, kl, kl_count, change, change_count, clip_fraction = figures.tolist()
        return LossFigures(loss, kl, kl_count, change, change_count, clip_fraction, self.ratio_deviation)

    @property
    def mean_kl(self) -> float:
        """NaN where it was not measured."""
        return self.kl / self.kl_count if self.kl_count else math.nan

    @property
    def mean_change(self) -> float:
        """NaN where it was not measured."""
        return self.change / self.change_count if self.change_count else math.nan

    def metrics(self, losses: int, grad_norm: float, learning_rate: float, reward_weight: float) -> UpdateMetrics:
        """The figures of an optimizer step that so many losses of this process have led to."""
        return UpdateMetrics(
            loss=self.loss,
            kl=self.mean_kl,
            clip_fraction=self.clip_fraction / losses,
            ratio_deviation=self.ratio_deviation,
            grad_norm=grad_norm,
            learning_rate=learning_rate,
            reward_weight=reward_weight,
            output_change=self.mean_change,
        )


class Losses:
    """The losses of a network that is finetuned.

    Args:
        unet: the network.
        base: what it was before, frozen.
        schedule: the noise schedule of both.
        reward: followed by its gradient with algorithm draft, and not asked here with the others.
        config: how to train.
        compute: device and dtype of the networks.
    """

    def __init__(
        self, unet: nn.Module, base: nn.Module, schedule: NoiseSchedule, reward: Reward, config: TrainConfig,
        compute: Compute,
    ) -> None:  # fmt: skip
        self.denoise, frozen = bind(unet, compute), bind(base, compute)
        self.policy, self.base_policy = policy_of(self.denoise, schedule), policy_of(frozen, schedule)
        self.reward_gradient = RewardGradient(self.denoise, frozen, schedule, reward, config)
        self.schedule, self.config = schedule, config

    def backward(self, part: Part, parts: int, update: int, reward_weight: float, scale: float = 1.0) -> LossFigures:
        """Add the gradients of a part to those of the network.

        Args:
            part: samples that have been scored.
            parts: of the optimizer step.
            update: number of that step in its epoch, from 0.
            reward_weight: of `objective.reward_weight`.
            scale: standard deviation of the rewards of the first epoch (draft).

        Raises:
            UserError: the reward has no gradient, and the algorithm follows it.
        """
        figures, count = LossFigures(), self.config.losses_of_a_part * parts
        for loss, found in self._each(part, update, reward_weight, scale):
            loss = loss / count
            loss.backward()
            figures = figures + found + LossFigures(loss=float(loss.detach()))
        return figures

    def _each(
        self, part: Part, update: int, reward_weight: float, scale: float
    ) -> Iterator[tuple[Tensor, LossFigures]]:
        """The losses of a part, each computed when the one before it is done with."""
        count = self.config.losses_of_a_part
        for index in range(count):
            match self.config.algorithm:
                case "draft":
                    loss, change = self.reward_gradient.loss(part, index, update, reward_weight, scale)
                    yield loss, LossFigures(change=float(change.mean()), change_count=1.0)
                case "rwr":
                    yield self._regression(part, update * count + index)
                case _:
                    yield self._policy_gradient(part, index, reward_weight)

    def _policy_gradient(self, part: Part, index: int, reward_weight: float) -> tuple[Tensor, LossFigures]:
        """DDPO's loss at the index-th trained step of a part.

        Without a KL penalty the divergence from the base is only watched, at one step a part.
        """
        config, trajectory = self.config, part.trajectory
        assert part.advantage is not None
        policy = self._step(self.policy, part, index)
        watched = config.kl_weight > 0 or index == 0
        loss = total_loss(
            log_prob=policy.log_prob(trajectory.after(index)),
            old_log_prob=trajectory.log_probs[index],
            advantage=part.advantage,
            kl=policy.kl_to(self._reference(part, index)) if watched else None,
            clip_range=config.clip_range if config.algorithm == "ddpo-is" else None,
            kl_weight=config.kl_weight,
            reward_weight=reward_weight,
        )
        figures = LossFigures(
            kl=0.0 if loss.kl is None else float(loss.kl),
            kl_count=0.0 if loss.kl is None else 1.0,
            clip_fraction=float(loss.clip_fraction),
            ratio_deviation=float((loss.ratio - 1).abs().max()),
        )
        return loss.total, figures

    def _regression(self, part: Part, turn: int) -> tuple[Tensor, LossFigures]:
        """The denoising loss of reward-weighted regression, at a timestep drawn for every sample.

        There is no policy, so the KL is that of the step which a sampler of as many steps takes from there at eta 1.

        Args:
            part: samples that have been scored.
            turn: number of this loss among those of the samples, which the noise and the timesteps depend on.
        """
        x_0 = part.trajectory.pictures
        assert part.regression_weights is not None
        first = turn * (1 << 32) + part.first_sample
        rngs = generators([mix_seed(self.config.seed + 2, first + i) for i in range(len(x_0))])
        last = self.schedule.num_timesteps
        t = torch.stack([torch.randint(last, (), generator=rng) for rng in rngs]).to(x_0.device)
        x_t, target = diffuse(x_0, draw_noise(rngs, tuple(x_0.shape[1:]), x_0.device), t, self.schedule)
        output = self.denoise(x_t, t)
        error = (output - target).square().flatten(1).mean(1)
        if self.config.kl_weight == 0:
            return regression_loss(error, part.regression_weights), LossFigures()
        t_prev = torch.where(t > 0, (t - last // self.config.sampling_steps).clamp(min=0), -1)
        with torch.no_grad():
            base = self.base_policy(x_t, t, t_prev, 1.0)
        kl = denoising_step(output, x_t, t, t_prev, self.schedule).kl_to(base)
        loss = regression_loss(error, part.regression_weights, kl, self.config.kl_weight)
        return loss, LossFigures(kl=float(kl.detach().mean()), kl_count=1.0)

    def _reference(self, part: Part, index: int) -> GaussianStep:
        """The base's step, computed once where it will be asked for again."""
        reference = part.references.get(index)
        if reference is None:
            with torch.no_grad():
                reference = self._step(self.base_policy, part, index)
        if self.config.inner_epochs > 1:
            part.references[index] = reference
        return reference

    def _step(self, policy: Policy, part: Part, index: int) -> GaussianStep:
        trajectory = part.trajectory
        x_t = trajectory.before(index)
        t = trajectory.timesteps[index].expand(len(x_t)).to(x_t.device)
        t_prev = trajectory.previous_timesteps[index].expand(len(x_t)).to(x_t.device)
        return policy(x_t, t, t_prev, self.config.eta)

"""The loss of samples at one of their denoising steps, for every algorithm, and what tells whether the step is healthy.

The formulas are objective.py's; here the networks are evaluated that they are made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import Trajectory, draw_noise, evaluate_unet, generators
from ddpo.diffusion.step import GaussianStep, NoiseSchedule, denoising_step, diffuse
from ddpo.training.config import TrainConfig
from ddpo.training.epoch_plan import mix_seed
from ddpo.training.objective import clipped_surrogate, score_function_loss


@dataclass
class Part:
    """Samples of one process that are drawn and trained together."""

    trajectory: Trajectory
    first_sample: int  # number of the first of them among all samples of the run
    advantage: Tensor | None = None  # (B,) float32, from the scoring on; with rwr the samples' weights
    references: dict[int, GaussianStep] = field(default_factory=dict)  # the base's steps, kept for the next inner epoch


@dataclass(frozen=True)
class StepLoss:
    """Of one denoising step of a part."""

    reward: Tensor  # () to be minimised, so that the reward rises
    kl: Tensor | None = None  # () to the base, per pixel; None where it is not asked for
    ratio_deviation: float = 0.0  # largest deviation of an importance ratio from 1
    clip_fraction: float = 0.0  # share of the ratios outside the clip range


@dataclass(frozen=True)
class Losses:
    """The losses of a network that is finetuned.

    Args:
        unet: the network.
        base: what it was before, frozen.
        schedule: the noise schedule of both.
        config: how to train.
        compute: device and dtype of the networks.
    """

    unet: nn.Module
    base: nn.Module
    schedule: NoiseSchedule
    config: TrainConfig
    compute: Compute

    def policy(self, part: Part, index: int) -> StepLoss:
        """DDPO's loss at the index-th trained step of a part, and the KL divergence to the base.

        Without a KL penalty the divergence is only shown, and measured at one step a part.
        """
        config, trajectory = self.config, part.trajectory
        assert part.advantage is not None
        policy = self._denoise(self.unet, trajectory, index)
        log_prob = policy.log_prob(trajectory.actions[index])
        surrogate = clipped_surrogate(log_prob, trajectory.log_probs[index], part.advantage, config.clip_range)
        loss = surrogate.loss
        if config.algorithm == "ddpo-sf":
            loss = score_function_loss(log_prob, part.advantage)
        kl = None
        if config.kl_weight > 0 or index == 0:
            kl = policy.kl_to(self._reference(part, index)).mean()
        return StepLoss(loss, kl, float((surrogate.ratio - 1).abs().max()), float(surrogate.clip_fraction))

    def regression(self, part: Part, turn: int) -> StepLoss:
        """The weighted denoising loss of reward-weighted regression, at a timestep drawn for every sample.

        Args:
            part: its advantage is the weights.
            turn: number of this loss among those of the samples, which the noise and the timesteps depend on.
        """
        x_0 = part.trajectory.pictures
        assert part.advantage is not None
        first = turn * (1 << 32) + part.first_sample
        rngs = generators([mix_seed(self.config.seed + 2, first + i) for i in range(len(x_0))])
        last = self.schedule.num_timesteps
        t = torch.stack([torch.randint(last, (), generator=rng) for rng in rngs]).to(x_0.device)
        x_t, target = diffuse(x_0, draw_noise(rngs, tuple(x_0.shape[1:]), x_0.device), t, self.schedule)
        error = (evaluate_unet(self.unet, x_t, t, self.compute) - target).square().flatten(1).mean(1)
        return StepLoss((part.advantage * error).mean())

    def _reference(self, part: Part, index: int) -> GaussianStep:
        """The base's step, computed once where it will be asked for again."""
        reference = part.references.get(index)
        if reference is None:
            with torch.no_grad():
                reference = self._denoise(self.base, part.trajectory, index)
        if self.config.inner_epochs > 1:
            part.references[index] = reference
        return reference

    def _denoise(self, unet: nn.Module, trajectory: Trajectory, index: int) -> GaussianStep:
        x_t = trajectory.states[index]
        t = trajectory.timesteps[index].expand(len(x_t)).to(x_t.device)
        t_prev = trajectory.previous_timesteps[index].expand(len(x_t)).to(x_t.device)
        output = evaluate_unet(unet, x_t, t, self.compute)
        return denoising_step(output, x_t, t, t_prev, self.schedule, self.config.eta)

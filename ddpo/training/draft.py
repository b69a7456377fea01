"""DRaFT: the reward's own gradient, through the last steps of a trajectory.

Clark et al. 2023 (arXiv 2309.17400), algorithm 1: with K = 1 it is DRaFT-1, with all steps DRaFT. DRaFT-LV takes the
last step again from several noisings of the finished picture. AlignProp (Prabhudesai et al. 2023, arXiv 2310.03739)
draws K at random. Here the networks are evaluated; what is made of the scores is objective.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ddpo.diffusion.sampling import Denoise, draw_noise, generators
from ddpo.diffusion.step import NoiseSchedule, denoising_step, diffuse, predict_epsilon
from ddpo.errors import UserError
from ddpo.rewards import Reward
from ddpo.training.config import TrainConfig
from ddpo.training.epoch import Part
from ddpo.training.objective import reward_gradient_loss
from ddpo.training.random_streams import mix_seed


@dataclass(frozen=True)
class RewardGradient:
    """The losses of a network whose pictures are scored by a differentiable reward.

    Args:
        denoise: the network.
        base: what it was before, frozen.
        schedule: the noise schedule of both.
        reward: of pictures (B, C, H, W) in [-1, 1], with a gradient.
        config: how to train.
    """

    denoise: Denoise
    base: Denoise
    schedule: NoiseSchedule
    reward: Reward
    config: TrainConfig

    def loss(self, part: Part, index: int, update: int, reward_weight: float, scale: float) -> tuple[Tensor, Tensor]:
        """The index-th loss of a part, and what its penalty is of (see `take_steps`).

        The first is of the last steps of the trajectory, which are taken again from the state that was kept, with new
        noise; the others are of noisings of the finished pictures.

        Args:
            part: samples that have been scored.
            index: 0 .. config.losses_of_a_part - 1.
            update: number of the optimizer step in its epoch, from 0.
            reward_weight: of `objective.reward_weight`.
            scale: standard deviation of the rewards of the first epoch.

        Raises:
            UserError: the scores have no gradient.
        """
        config, trajectory = self.config, part.trajectory
        turn = update * config.losses_of_a_part + index
        first = turn * (1 << 32) + part.first_sample
        rngs = generators([mix_seed(config.seed + 2, first + i) for i in range(len(trajectory.pictures))])
        t, t_prev = trajectory.timesteps.tolist(), trajectory.previous_timesteps.tolist()
        x_t = trajectory.before(0)
        if index > 0:
            t, t_prev = t[-1:], t_prev[-1:]
            noise = draw_noise(rngs, tuple(x_t.shape[1:]), x_t.device)
            x_t, _ = diffuse(trajectory.pictures, noise, torch.tensor(t, device=x_t.device), self.schedule)
        x_0, change = self.take_steps(x_t, t, t_prev, rngs)
        scores = self.reward(x_0.clamp(-1, 1))
        if not scores.requires_grad:
            raise UserError(
                "The reward gives scores without a gradient, which algorithm draft follows; choose another algorithm."
            )
        return reward_gradient_loss(scores, change, scale, config.output_penalty, reward_weight), change.detach()

    def take_steps(
        self, x_t: Tensor, t: Sequence[int], t_prev: Sequence[int], rngs: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Denoise with the gradients of all steps.

        With gradient checkpointing and more than one step, the activations of only one are in memory at a time.

        Args:
            x_t: (B, C, H, W) before the first of the steps.
            t: of each step.
            t_prev: timestep that each goes to; -1 for the last, which is deterministic.
            rngs: B generators.

        Returns:
            x_0 (B, C, H, W), and the squared change of the network's output against the base's, or of the predicted
            noise with `penalty_on` noise, averaged over the pixels and the steps: (B,).
        """
        recomputed = self.config.gradient_checkpointing and len(t) > 1
        changes = []
        for now, then in zip(t, t_prev, strict=True):
            noise = draw_noise(rngs, tuple(x_t.shape[1:]), x_t.device) if then >= 0 else torch.zeros_like(x_t)
            if recomputed:
                x_t, change = checkpoint(self._step, x_t, now, then, noise, use_reentrant=False)
            else:
                x_t, change = self._step(x_t, now, then, noise)
            changes.append(change)
        return x_t, torch.stack(changes).mean(0)

    def _step(self, x_t: Tensor, t: int, t_prev: int, noise: Tensor) -> tuple[Tensor, Tensor]:
        now = torch.full((len(x_t),), t, device=x_t.device)
        output = self.denoise(x_t, now)
        step = denoising_step(output, x_t, now, torch.full_like(now, t_prev), self.schedule, self.config.eta)
        # x_t depends on the network too, so the base's output at it has a gradient where there is a penalty.
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.output_penalty > 0):
            base = self.base(x_t, now)
            if self.config.penalty_on == "noise":
                output, base = (predict_epsilon(of, x_t, now, self.schedule) for of in (output, base))
            change = (output - base).square().flatten(1).mean(1)
        return step.sample(noise), change

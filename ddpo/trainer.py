"""The DDPO loop (Black et al. 2023, algorithm 1): yields one event an epoch, knows no page and prints nothing.

Every random number is a function of the seed and the epoch, so a trainer that is given back its state goes on as if it
had never stopped.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from ddpo.diversity import diversity_kept
from ddpo.errors import UserError
from ddpo.objective import advantages, clipped_surrogate
from ddpo.pictures import from_uint8, to_uint8
from ddpo.policy import NoiseSchedule, denoising_step
from ddpo.precision import Compute
from ddpo.rewards import Reward
from ddpo.sampling import Trajectory, draw_noise, evaluate_unet, generators, roll_out


@dataclass(frozen=True)
class TrainConfig:
    """How a model is finetuned.

    Raises:
        UserError: a value is outside its range; the sentence names the field.
    """

    epochs: int = 30  # rounds of sampling and training, >= 1
    batches_per_epoch: int = 4  # batches sampled, and optimizer steps made, each epoch, >= 1
    batch_size: int = 16  # pictures a batch, >= 1
    sampling_steps: int = 20  # denoising steps of a trajectory, >= 2
    eta: float = 1.0  # share of DDPM's noise in the policy, in (0, 1]
    trained_steps: int = 6  # steps of each trajectory that are trained on, drawn anew for every batch, >= 1
    inner_epochs: int = 1  # passes over the samples of an epoch, >= 1
    learning_rate: float = 1e-4  # AdamW's, > 0
    warmup_epochs: int = 1  # linear warm-up of the learning rate, >= 0
    clip_range: float = 1e-4  # of the importance ratio, > 0; small because log-probabilities are means over pixels
    advantage_clip: float = 5.0  # largest absolute advantage, > 0
    kl_weight: float = 0.0  # of the KL divergence to the base model, >= 0
    max_grad_norm: float = 1.0  # gradients are scaled down to this norm, > 0
    ema_decay: float = 0.0  # per optimizer step, of the average of the weights that is kept as the result, in [0, 1)
    seed: int = 0  # >= 0

    def __post_init__(self) -> None:
        lower = {"sampling_steps": 2, "warmup_epochs": 0, "kl_weight": 0, "ema_decay": 0, "seed": 0}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (isinstance(value, bool) or not isinstance(value, int)):
                raise UserError(f"{field.name} must be a whole number, and {value!r} is not one.")
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise UserError(f"{field.name} must be a finite number, and {value!r} is not one.")
            least = lower.get(field.name, 1 if field.type == "int" else 0)
            if value < least or (field.type == "float" and field.name not in lower and value == 0):
                bound = "above" if field.type == "float" and field.name not in lower else "at least"
                raise UserError(f"{field.name} must be {bound} {least}, and {value!r} is not.")
        if self.eta > 1 or self.ema_decay >= 1:
            raise UserError("eta must be in (0, 1] and ema_decay in [0, 1).")
        if self.trained_steps >= self.sampling_steps:
            raise UserError(
                f"trained_steps ({self.trained_steps}) must be below sampling_steps ({self.sampling_steps}): "
                "the last step of a trajectory is deterministic and cannot be trained on."
            )

    @property
    def samples_per_epoch(self) -> int:
        """Pictures drawn each epoch."""
        return self.batches_per_epoch * self.batch_size


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch did. Rewards are of the pictures sampled before its updates."""

    epoch: int  # 1 .. epochs
    epochs: int
    reward_mean: float
    reward_std: float
    reward_quantiles: tuple[float, float, float]  # 10%, 50%, 90%
    kl: float  # to the base, mean over pixels, trained steps and samples; 0.0 where kl_weight is 0
    clip_fraction: float  # share of the ratios outside the clip range, in [0, 1]
    first_ratio_deviation: float  # largest |rho - 1| before the first update: exactly 0 when all is well
    grad_norm: float  # mean over the updates, before clipping
    diversity: float  # against the samples of the first epoch, 1.0 = as diverse


@dataclass
class _Sums:
    """Running sums over the updates of an epoch."""

    kl: float = 0.0
    clip_fraction: float = 0.0
    grad_norm: float = 0.0
    passes: int = 0
    updates: int = 0
    first_ratio_deviation: float = 0.0


class Trainer:
    """Finetunes a network on a reward. `unet` is changed in place; `result` is what to keep.

    Args:
        unet: the network to finetune, called as unet(x_t, t).sample, float32 weights, on compute.device.
        schedule: its noise schedule.
        picture_shape: (C, H, W) of a sample.
        reward: scores pictures (B, C, H, W) in [-1, 1].
        config: how to train.
        compute: device and dtype, the same for sampling and training, so that the first ratio is exactly 1.
    """

    def __init__(
        self,
        unet: nn.Module,
        schedule: NoiseSchedule,
        picture_shape: tuple[int, int, int],
        reward: Reward,
        config: TrainConfig,
        compute: Compute,
    ) -> None:
        self.unet = unet.eval().requires_grad_(True)
        self.base = copy.deepcopy(unet).requires_grad_(False)
        self.average = copy.deepcopy(unet).requires_grad_(False)
        self.schedule, self.picture_shape = schedule, picture_shape
        self.reward, self.config, self.compute = reward, config, compute
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), lr=config.learning_rate, weight_decay=0.0)
        self.epoch = 0
        self.first_pictures: Tensor | None = None

    @property
    def result(self) -> nn.Module:
        """The finetuned network: the moving average of the weights where there is one."""
        return self.average if self.config.ema_decay > 0 else self.unet

    def run(self) -> Iterator[EpochMetrics]:
        """Train to config.epochs, yielding after every epoch. Closing the iterator stops between two epochs.

        Raises:
            UserError: the reward returned scores of the wrong number, or some that are not finite.
        """
        while self.epoch < self.config.epochs:
            metrics = self._run_epoch()
            self.epoch += 1
            yield metrics

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here, tensors and numbers only."""
        return {
            "epoch": self.epoch,
            "unet": self.unet.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "first_pictures": self.first_pictures,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict` of a trainer with the same config and base."""
        self.epoch = state["epoch"]
        self.unet.load_state_dict(state["unet"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.first_pictures = state["first_pictures"]

    def _run_epoch(self) -> EpochMetrics:
        config = self.config
        batches = [self._sample_batch(index) for index in range(config.batches_per_epoch)]
        # As uint8, since that is what is shown, scored and saved; scores of the app and of the trainer are the same.
        pictures = torch.cat([from_uint8(to_uint8(batch.pictures)) for batch in batches])
        scores = self._score(pictures)
        if self.first_pictures is None:
            self.first_pictures = pictures
        batch_advantages = advantages(scores, config.advantage_clip).to(self.compute.device).split(config.batch_size)
        sums = self._train(batches, list(batch_advantages))
        return self._metrics(scores, sums, diversity_kept(pictures, self.first_pictures))

    def _sample_batch(self, index: int) -> Trajectory:
        config = self.config
        first = (self.epoch * config.batches_per_epoch + index) * config.batch_size
        rngs = generators([_mix(config.seed, first + i) for i in range(config.batch_size)])
        noise = draw_noise(rngs, self.picture_shape, self.compute.device)
        return roll_out(self.unet, self.schedule, noise, rngs, config.sampling_steps, self.compute, config.eta)

    def _score(self, pictures: Tensor) -> Tensor:
        scores = self.reward(pictures).float().cpu()
        if scores.shape != (len(pictures),) or not bool(torch.isfinite(scores).all()):
            raise UserError(
                f"The reward must return {len(pictures)} finite scores for {len(pictures)} pictures; "
                f"it returned {tuple(scores.shape)} with {int((~torch.isfinite(scores)).sum())} that are not finite."
            )
        return scores

    def _train(self, batches: list[Trajectory], batch_advantages: list[Tensor]) -> _Sums:
        config, sums = self.config, _Sums()
        rng = torch.Generator().manual_seed(_mix(config.seed + 1, self.epoch))
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (self.epoch + 1) / (config.warmup_epochs + 1))
        for _ in range(config.inner_epochs):
            for index in torch.randperm(len(batches), generator=rng).tolist():
                chosen = torch.randperm(config.sampling_steps - 1, generator=rng)[: config.trained_steps]
                self._update(batches[index], batch_advantages[index], chosen.tolist(), sums)
        return sums

    def _update(self, batch: Trajectory, advantage: Tensor, chosen: list[int], sums: _Sums) -> None:
        """One optimizer step on some steps of the trajectories of a batch."""
        config = self.config
        for step in chosen:
            surrogate_loss, kl, ratio_deviation, clip_fraction = self._step_loss(batch, advantage, step)
            ((surrogate_loss + config.kl_weight * kl) / len(chosen)).backward()
            sums.kl += float(kl.detach())
            sums.clip_fraction += clip_fraction
            sums.passes += 1
            if sums.updates == 0:
                sums.first_ratio_deviation = max(sums.first_ratio_deviation, ratio_deviation)
        norm = nn.utils.clip_grad_norm_(self.unet.parameters(), config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.unet.parameters()), 1 - config.ema_decay)
        sums.grad_norm += float(norm)
        sums.updates += 1

    def _step_loss(self, batch: Trajectory, advantage: Tensor, step: int) -> tuple[Tensor, Tensor, float, float]:
        """Surrogate loss and KL (both scalars) of one denoising step, and what to report of the ratios."""
        x_t, x_prev = batch.states[step], batch.states[step + 1]
        t = batch.timesteps[step].expand(len(x_t)).to(x_t.device)
        t_prev = batch.previous_timesteps[step].expand(len(x_t)).to(x_t.device)
        output = evaluate_unet(self.unet, x_t, t, self.compute)
        policy = denoising_step(output, x_t, t, t_prev, self.schedule, self.config.eta)
        surrogate = clipped_surrogate(policy.log_prob(x_prev), batch.log_probs[step], advantage, self.config.clip_range)
        kl = torch.zeros((), device=x_t.device)
        if self.config.kl_weight > 0:
            with torch.no_grad():
                base_output = evaluate_unet(self.base, x_t, t, self.compute)
            reference = denoising_step(base_output, x_t, t, t_prev, self.schedule, self.config.eta)
            kl = policy.kl_to(reference).mean()
        return surrogate.loss, kl, float((surrogate.ratio - 1).abs().max()), float(surrogate.clip_fraction)

    def _metrics(self, scores: Tensor, sums: _Sums, diversity: float) -> EpochMetrics:
        low, middle, high = torch.quantile(scores, torch.tensor([0.1, 0.5, 0.9])).tolist()
        return EpochMetrics(
            epoch=self.epoch + 1,
            epochs=self.config.epochs,
            reward_mean=float(scores.mean()),
            reward_std=float(scores.std()),
            reward_quantiles=(low, middle, high),
            kl=sums.kl / sums.passes,
            clip_fraction=sums.clip_fraction / sums.passes,
            first_ratio_deviation=sums.first_ratio_deviation,
            grad_norm=sums.grad_norm / sums.updates,
            diversity=diversity,
        )


def _mix(seed: int, counter: int) -> int:
    """A seed of its own for every counter (splitmix64), far from the small seeds that comparisons use."""
    z = (seed * 0x9E3779B97F4A7C15 + (counter + 1) * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (z ^ (z >> 31)) | (1 << 40)  # never a small number

"""The DDPO loop (Black et al. 2023, algorithm 1): yields an event a step, knows no page and prints nothing.

An epoch samples its batches (a step each), scores all pictures (one step), and makes its optimizer steps. Every random
number is a function of the seed and of the place in the run, and `state_dict` can be taken between any two steps, so a
trainer that is given back its state goes on as if it had never stopped. With several processes each sample has a number
of its own, so that two of them draw what one with twice the batch draws.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import Trajectory, generators, roll_out
from ddpo.diffusion.step import NoiseSchedule
from ddpo.errors import UserError
from ddpo.rewards import Reward
from ddpo.training.config import TrainConfig
from ddpo.training.diversity import describe_pictures, spread
from ddpo.training.epoch_plan import average_decay, learning_rate_factor, mix_seed, plan_epoch
from ddpo.training.events import EpochMetrics, StepDone, StepKind, UpdateMetrics
from ddpo.training.losses import Losses, Part
from ddpo.training.objective import advantages, regression_weights, reward_weight
from ddpo.training.processes import Processes, random_state, restore_random_state
from ddpo.training.trainable import add_adapters, merge_adapters, train_biases_only, use_gradient_checkpointing


@dataclass
class _EpochState:
    """What an epoch has so far."""

    parts: list[Part]
    scores: Tensor | None = None  # (N,) of all processes
    diversity: float = 0.0
    updates: int = 0  # optimizer steps made
    seconds: float = 0.0
    sums: dict[str, float] | None = None  # of UpdateMetrics, by name


class Trainer:
    """Finetunes a network on a reward. `unet` is changed in place; `result` is what to keep.

    Args:
        unet: the network to finetune, called as unet(x_t, t).sample, float32 weights, on compute.device.
        schedule: its noise schedule.
        picture_shape: (C, H, W) of a sample.
        reward: scores pictures (B, C, H, W) in [-1, 1].
        config: how to train.
        compute: device and dtype, the same for sampling and training, so that the first ratio is exactly 1.
        processes: those that train together; None is this one alone.

    Raises:
        UserError: the config asks for what this network or this machine does not have.
    """

    def __init__(
        self,
        unet: nn.Module,
        schedule: NoiseSchedule,
        picture_shape: tuple[int, int, int],
        reward: Reward,
        config: TrainConfig,
        compute: Compute,
        processes: Processes | None = None,
    ) -> None:
        if config.sampling_steps > schedule.num_timesteps:
            raise UserError(
                f"sampling_steps ({config.sampling_steps}) must be at most {schedule.num_timesteps}, the timesteps of "
                "this model."
            )
        self.base = copy.deepcopy(unet).eval().requires_grad_(False)
        self.unet = unet.eval().requires_grad_(True)
        if config.weights == "lora":
            add_adapters(self.unet, config.lora_rank, config.seed)
        elif config.weights == "biases":
            train_biases_only(self.unet)
        if config.gradient_checkpointing:
            use_gradient_checkpointing(self.unet)
        self.trainable = {name: weight for name, weight in self.unet.named_parameters() if weight.requires_grad}
        self.average: dict[str, Tensor] = {}  # of the weights, where one is kept
        if config.ema_decay > 0:
            self.average = {name: weight.detach().clone() for name, weight in self.trainable.items()}
        self.schedule, self.picture_shape = schedule, picture_shape
        self.reward, self.config, self.compute = reward, config, compute
        self.processes = processes or Processes()
        self.losses = Losses(self.unet, self.base, schedule, config, compute)
        self.optimizer = torch.optim.AdamW(
            self.trainable.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.epoch = 0  # finished
        self.seconds = 0.0  # of training, over all goes
        self.first_spread = 0.0  # of the pictures of the first epoch
        self._now = _EpochState([])

    # Where it stands --------------------------------------------------------------------------------------------------

    @property
    def updates_per_epoch(self) -> int:
        """Optimizer steps in an epoch. The score function is true for samples of the current policy only: one step."""
        config = self.config
        return 1 if config.algorithm == "ddpo-sf" else config.batches_per_epoch * config.inner_epochs

    @property
    def steps_per_epoch(self) -> int:
        """Batches sampled, the scoring, and optimizer steps."""
        return self.config.batches_per_epoch + 1 + self.updates_per_epoch

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def step(self) -> int:
        """Steps done."""
        now = self._now
        sampled = len(now.parts) // self.config.accumulation
        return self.epoch * self.steps_per_epoch + sampled + (now.scores is not None) + now.updates

    @property
    def next_kind(self) -> StepKind:
        """What the next step does."""
        if len(self._now.parts) < self.config.batches_per_epoch * self.config.accumulation:
            return "sample"
        return "score" if self._now.scores is None else "update"

    @property
    def _diversity(self) -> float:
        """Of the samples of this epoch, as a share of that of the first epoch."""
        return self._now.diversity / self.first_spread if self.first_spread > 0 else 1.0

    def result(self) -> nn.Module:
        """A copy of the network as it is to be kept: the average of the weights where there is one, adapters merged."""
        kept = copy.deepcopy(self.unet).requires_grad_(False)
        kept.load_state_dict(self.average, strict=False)
        return merge_adapters(kept)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here, for all processes; tensors and plain values only.

        Every process must call it at the same step; only the main one's answer is to be saved.
        """
        now = self._now
        # Parts of a batch that is not whole, as where a step has failed, are drawn again.
        whole = len(now.parts) // self.config.accumulation * self.config.accumulation
        own = {
            "random": random_state(),
            "parts": [
                {"first_sample": part.first_sample, "advantage": part.advantage, **vars(part.trajectory)}
                for part in now.parts[:whole]
            ],
        }
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "first_spread": self.first_spread,
            "unet": {name: weight.detach() for name, weight in self.trainable.items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "now": {
                "scores": now.scores, "diversity": now.diversity, "updates": now.updates, "seconds": now.seconds,
                "sums": now.sums,
            },
            "processes": self.processes.gather_objects(own),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict` of a trainer with the same config and base.

        Raises:
            UserError: it was taken with another number of processes.
        """
        others = state["processes"]
        if len(others) != self.processes.count:
            raise UserError(
                f"The run was stopped with {len(others)} processes and can only go on with as many, "
                f"not with {self.processes.count}."
            )
        own = others[self.processes.rank]
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.first_spread = state["first_spread"]
        self.unet.load_state_dict(state["unet"], strict=False)
        for name, weight in self.average.items():
            weight.copy_(state["average"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        names = [entry.name for entry in fields(Trajectory)]
        device = self.compute.device
        parts = [
            Part(
                Trajectory(**{name: part[name].to("cpu" if "timesteps" in name else device) for name in names}),
                part["first_sample"],
                None if part["advantage"] is None else part["advantage"].to(device),
            )
            for part in own["parts"]
        ]
        self._now = _EpochState(parts, **state["now"])
        restore_random_state(own["random"])

    # The loop ---------------------------------------------------------------------------------------------------------

    def run(self) -> Iterator[StepDone]:
        """Train to config.epochs, yielding after every step. Closing the iterator stops between two steps.

        Raises:
            UserError: the reward returned scores of the wrong number, or some that are not finite, or the weights did.
        """
        while self.epoch < self.config.epochs:
            started = time.perf_counter()
            now, epoch = self._now, self.epoch + 1
            kind, update, finished = self.next_kind, None, None
            if kind == "sample":
                self._sample_batch()
            elif kind == "score":
                self._score()
            else:
                update = self._update()
            seconds = time.perf_counter() - started
            now.seconds += seconds
            self.seconds += seconds
            if now.updates == self.updates_per_epoch:
                finished = self._finish_epoch()
            yield StepDone(self.step, self.steps, epoch, kind, update, finished)

    def _sample_batch(self) -> None:
        """Draw this process's share of the next batch, part by part."""
        config, processes = self.config, self.processes
        plan = plan_epoch(self.epoch, config)
        for _ in range(config.accumulation):
            part = len(self._now.parts)
            number = self.epoch * len(plan.steps) + part
            first = (number * processes.count + processes.rank) * config.part_size
            rngs = generators([mix_seed(config.seed, first + i) for i in range(config.part_size)])
            recorded = plan.steps[part]
            window = None if config.window == "random" else range(recorded[0], recorded[-1] + 1)
            trajectory = roll_out(
                self.unet, self.schedule, rngs, self.picture_shape, config.sampling_steps, self.compute, config.eta,
                recorded, window, config.group_size, plan.shifts[part],
            )  # fmt: skip
            self._now.parts.append(Part(trajectory, first))

    def _score(self) -> None:
        """Score the pictures of all processes together, which is what an advantage is relative to."""
        config, now = self.config, self._now
        # As uint8, since that is what is shown, scored and saved; scores of the app and of the trainer are the same.
        pictures = torch.cat([from_uint8(to_uint8(part.trajectory.pictures)) for part in now.parts])
        scores, descriptions = self._rewards(pictures), describe_pictures(pictures)
        per_process = len(now.parts), config.part_size
        all_scores = self.processes.gather(scores).view(self.processes.count, *per_process)
        all_scores = all_scores.transpose(0, 1).flatten()  # part by part, the processes side by side in each
        now.diversity = spread(self.processes.gather(descriptions))
        if self.epoch == 0:
            self.first_spread = now.diversity
        advantage = advantages(all_scores, config.advantage_clip, config.group_size, config.baseline == "leave-one-out")
        if config.algorithm == "rwr":
            advantage = regression_weights(advantage, config.temperature)
        own = advantage.view(len(now.parts), self.processes.count, config.part_size)[:, self.processes.rank]
        for part, part_advantage in zip(now.parts, own, strict=True):
            part.advantage = part_advantage.to(self.compute.device)
        now.scores = all_scores

    def _rewards(self, pictures: Tensor) -> Tensor:
        """Checked scores (N,) float32 on the CPU. What goes wrong on one process stops all of them."""
        problem, scores = "", torch.zeros(len(pictures))
        try:
            answer = torch.as_tensor(self.reward(pictures.to(self.compute.device))).detach().float().cpu()
        except UserError as error:
            problem = str(error)
        except Exception as error:  # whatever a user's own function raises
            problem = f"The reward failed on {len(pictures)} pictures: {type(error).__name__}: {error}"
        else:
            if answer.shape != scores.shape or not bool(torch.isfinite(answer).all()):
                problem = (
                    f"The reward must return {len(pictures)} finite scores for {len(pictures)} pictures; it returned "
                    f"{tuple(answer.shape)} with {int((~torch.isfinite(answer)).sum())} that are not finite."
                )
            else:
                scores = answer
        for other in self.processes.gather_objects(problem):
            if other:
                raise UserError(other)
        return scores

    def _update(self) -> UpdateMetrics:
        """One optimizer step."""
        config = self.config
        rate = config.learning_rate * learning_rate_factor(self.epoch, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        weight = reward_weight(self._diversity, config.diversity_floor)
        parts = self._parts_of_update()
        totals = torch.zeros(4, dtype=torch.float64)  # loss, KL, clip fraction, measured KLs
        deviation = 0.0
        for part in parts:
            deviation = max(deviation, self._backward(part, len(parts), weight, totals))
        weights = [weight for weight in self.trainable.values() if weight.grad is not None]
        self.processes.average(weight.grad for weight in weights if weight.grad is not None)
        norm = float(nn.utils.clip_grad_norm_(weights, config.max_grad_norm))
        if not norm < float("inf"):
            self.optimizer.zero_grad(set_to_none=True)
            raise UserError(
                "The gradient is no longer finite, the run has diverged; start again with a lower learning_rate."
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            decay = average_decay(self.epoch * self.updates_per_epoch + self._now.updates, config)
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.values()), list(self.trainable.values()), 1 - decay)
        self.processes.average([totals])
        loss, kl, clip_fraction, measured = totals.tolist()
        count = len(parts) * config.trained_steps
        metrics = UpdateMetrics(loss, kl / max(measured, 1), clip_fraction / count, deviation, norm, rate, weight)
        self._sum_up(metrics)
        return metrics

    def _parts_of_update(self) -> list[Part]:
        config, now = self.config, self._now
        if config.algorithm == "ddpo-sf":
            return now.parts
        inner, index = divmod(now.updates, config.batches_per_epoch)
        batch = plan_epoch(self.epoch, config).orders[inner][index]
        return now.parts[batch * config.accumulation : (batch + 1) * config.accumulation]

    def _backward(self, part: Part, parts: int, weight: float, totals: Tensor) -> float:
        """Add a part's gradients and figures; the largest deviation of a ratio from 1."""
        config, deviation = self.config, 0.0
        for index in range(config.trained_steps):
            if config.algorithm == "rwr":
                step = self.losses.regression(part, self._now.updates * config.trained_steps + index)
            else:
                step = self.losses.policy(part, index)
            loss = step.reward
            if step.kl is not None:
                loss = weight * loss + config.kl_weight * step.kl
                totals[1] += float(step.kl.detach())
                totals[3] += 1
            loss = loss / (config.trained_steps * parts)
            loss.backward()
            totals[0] += float(loss.detach())
            totals[2] += step.clip_fraction
            deviation = max(deviation, step.ratio_deviation)
        return deviation

    def _sum_up(self, metrics: UpdateMetrics) -> None:
        now = self._now
        now.sums = now.sums or {"first_ratio_deviation": metrics.ratio_deviation}
        for name, value in asdict(metrics).items():
            now.sums[name] = now.sums.get(name, 0.0) + value
        now.updates += 1

    def _finish_epoch(self) -> EpochMetrics:
        now, diversity = self._now, self._diversity
        assert now.scores is not None and now.sums is not None
        self.epoch += 1
        self._now = _EpochState([])
        samples = self.config.samples_per_epoch(self.processes.count)
        low, middle, high = torch.quantile(now.scores, torch.tensor([0.1, 0.5, 0.9])).tolist()
        means = {
            name: now.sums[name] / now.updates
            for name in ("kl", "clip_fraction", "grad_norm", "learning_rate", "reward_weight")
        }
        return EpochMetrics(
            epoch=self.epoch,
            epochs=self.config.epochs,
            reward_mean=float(now.scores.double().mean()),
            reward_std=float(now.scores.double().std(unbiased=False)) if now.scores.max() > now.scores.min() else 0.0,
            reward_quantiles=(low, middle, high),
            first_ratio_deviation=now.sums["first_ratio_deviation"],
            diversity=diversity,
            samples=self.epoch * samples,
            seconds=self.seconds,
            samples_per_second=samples / max(now.seconds, 1e-9),
            **means,
        )

"""The DDPO loop (Black et al. 2023, algorithm 1): yields an event a step, knows no page and prints nothing.

    for every epoch:
        sample trajectories x_T, ..., x_0 from the policy      a step a batch   rollout.roll_out
        score the pictures x_0, and take advantages            one step         scoring, objective.advantages
        for every batch, inner_epochs times:
            minimise the loss over the trained timesteps       a step a batch   losses.Losses, objective.total_loss
        now and then, and before the first epoch: look at held-out seeds        held_out.HeldOutEye

Other algorithms minimise another loss (`Losses._each`): RWR the denoising loss, DRaFT minus the reward itself (draft).

Every random number is a function of the seed and of the place in the run, and `state_dict` can be taken between any two
steps, so a trainer that is given back its state goes on as if it had never stopped. With several processes each sample
has a number of its own, so that two of them draw what one with twice the batch draws.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import generators
from ddpo.diffusion.step import NoiseSchedule
from ddpo.errors import UserError
from ddpo.rewards import Reward
from ddpo.training.config import TrainConfig
from ddpo.training.consistency import check_timesteps
from ddpo.training.diversity import describe_pictures, spread
from ddpo.training.epoch import EpochState, FirstEpoch, Part
from ddpo.training.epoch_plan import learning_rate_factor, plan_epoch
from ddpo.training.events import EpochMetrics, StepDone, StepKind, UpdateMetrics
from ddpo.training.held_out import HeldOutEye
from ddpo.training.held_out_curve import HeldOutEvaluation
from ddpo.training.judging import judge
from ddpo.training.losses import Losses, LossFigures
from ddpo.training.modes import MOST, compare_modes
from ddpo.training.objective import reward_weight, standard_deviation
from ddpo.training.optimizing import descend
from ddpo.training.processes import Processes
from ddpo.training.random_streams import mix_seed, random_state, restore_random_state
from ddpo.training.rollout import roll_out
from ddpo.training.scoring import score_pictures
from ddpo.training.trainable import merge_adapters, prepare
from ddpo.training.weight_average import WeightAverage


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
        scheduler_config: as it came with the base, with which held-out seeds are drawn; None where there are none.

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
        scheduler_config: Mapping[str, Any] | None = None,
    ) -> None:
        check_timesteps(config, schedule.num_timesteps)
        schedule = replace(schedule, rederives_epsilon=config.clipped_epsilon == "derived")
        self.base = copy.deepcopy(unet).eval().requires_grad_(False)
        self.unet = prepare(unet, config)
        self.trainable = {name: weight for name, weight in self.unet.named_parameters() if weight.requires_grad}
        self.average = WeightAverage(self.trainable, config.ema_decay)
        self.schedule, self.picture_shape = schedule, picture_shape
        self.reward, self.config, self.compute = reward, config, compute
        self.processes = processes or Processes()
        self.losses = Losses(self.unet, self.base, schedule, reward, config, compute)
        self.eye = HeldOutEye(config, scheduler_config, reward, compute, self.processes)
        self.optimizer = torch.optim.AdamW(
            self.trainable.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.epoch = 0  # finished
        self.seconds = 0.0  # of training, over all goes
        self.first = FirstEpoch()
        self._now = EpochState()

    # Where it stands --------------------------------------------------------------------------------------------------

    @property
    def updates_per_epoch(self) -> int:
        """Optimizer steps in an epoch. The score function is true for samples of the current policy only: one step."""
        config = self.config
        return 1 if config.algorithm == "ddpo-sf" else config.batches_per_epoch * config.inner_epochs

    @property
    def steps_per_epoch(self) -> int:
        """Batches sampled, the scoring, and optimizer steps; a look at the held-out seeds is one more."""
        return self.config.batches_per_epoch + 1 + self.updates_per_epoch

    @property
    def steps(self) -> int:
        """Steps of the whole run; those done, once it has reason to end early."""
        if self.eye.reason_to_stop:
            return self.step
        return self.config.epochs * self.steps_per_epoch + len(self.eye.epochs)

    @property
    def step(self) -> int:
        """Steps done."""
        now = self._now
        sampled = len(now.parts) // self.config.accumulation
        done = self.epoch * self.steps_per_epoch + len(self.eye.curve)
        return done + sampled + (now.scores is not None) + now.updates

    @property
    def next_kind(self) -> StepKind:
        """What the next step does."""
        if self._looks_next:
            return "evaluate"
        if len(self._now.parts) < self.config.batches_per_epoch * self.config.accumulation:
            return "sample"
        return "score" if self._now.scores is None else "update"

    @property
    def _looks_next(self) -> bool:
        return not self._now.parts and self.eye.is_due(self.epoch)

    @property
    def is_done(self) -> bool:
        """Whether no steps are left: all epochs are done, or the held-out seeds say that it is enough."""
        return not self._looks_next and (self.epoch >= self.config.epochs or self.eye.reason_to_stop is not None)

    @property
    def _diversity(self) -> float:
        """Of the samples of this epoch, as a share of that of the first epoch."""
        return self.first.share(self._now.diversity)

    def result(self, best: bool = False) -> nn.Module:
        """A copy of the network with the average of the weights where there is one, adapters merged.

        Args:
            best: with the weights that were the best on the held-out seeds, in place of the present ones.
        """
        kept = copy.deepcopy(self.unet).requires_grad_(False)
        kept.load_state_dict(self.eye.best_weights if best else self.average.weights, strict=False)
        return merge_adapters(kept)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here, for all processes; tensors and plain values only.

        Every process must call it at the same step; only the main one's answer is to be saved.
        """
        # Parts of a batch that is not whole, as where a step has failed, are drawn again.
        whole = len(self._now.parts) // self.config.accumulation * self.config.accumulation
        own = {"random": random_state(), "parts": [part.state_dict() for part in self._now.parts[:whole]]}
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            **self.first.state_dict(),
            "unet": {name: weight.detach() for name, weight in self.trainable.items()},
            "average": self.average.weights,
            "optimizer": self.optimizer.state_dict(),
            "now": self._now.state_dict(),
            "held_out": self.eye.state_dict(),
            "processes": self.processes.gather_objects(own),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict` of a trainer with the same config and base.

        Raises:
            UserError: it was taken with another number of processes, or knows other weights.
        """
        others = state["processes"]
        if len(others) != self.processes.count:
            raise UserError(
                f"The run was stopped with {len(others)} processes and can only go on with as many, "
                f"not with {self.processes.count}."
            )
        if state["unet"].keys() != self.trainable.keys():
            raise UserError(
                "The run was stopped by a version that keeps what it trains in another way; start it anew, or resume "
                "it with that version."
            )
        own = others[self.processes.rank]
        self.epoch, self.seconds, self.first = state["epoch"], state["seconds"], FirstEpoch.from_state(state)
        self.unet.load_state_dict(state["unet"], strict=False)
        self.average.load(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        parts = [Part.from_state(part, self.compute.device) for part in own["parts"]]
        self._now = EpochState.from_state(state["now"], parts)
        self.eye.load_state_dict(state.get("held_out", {}))
        restore_random_state(own["random"])

    # The loop ---------------------------------------------------------------------------------------------------------

    def run(self) -> Iterator[StepDone]:
        """Train to config.epochs, yielding after every step. Closing the iterator stops between two steps.

        Raises:
            UserError: the reward returned scores of the wrong number, or some that are not finite, or the weights did.
        """
        while not self.is_done:
            started = time.perf_counter()
            now, kind = self._now, self.next_kind
            epoch = self.epoch + (kind != "evaluate")
            update, finished, evaluation = None, None, None
            if kind == "evaluate":
                evaluation = self._look()
            elif kind == "sample":
                self._sample_batch()
            elif kind == "score":
                self._score()
            else:
                update = self._update()
            seconds = time.perf_counter() - started
            now.seconds += seconds if kind != "evaluate" else 0.0
            self.seconds += seconds
            if now.updates == self.updates_per_epoch:
                finished = self._finish_epoch()
            yield StepDone(self.step, self.steps, epoch, kind, update, finished, evaluation)

    def _look(self) -> HeldOutEvaluation:
        weights = self.average.weights or self.trainable
        return self.eye.look(self.result(), weights, self.step + 1, self.epoch, self.seconds)

    def _sample_batch(self) -> None:
        """Draw this process's share of the next batch, part by part."""
        config, processes = self.config, self.processes
        plan = plan_epoch(self.epoch, config)
        for _ in range(config.accumulation):
            part = len(self._now.parts)
            number = self.epoch * len(plan.steps) + part
            first = (number * processes.count + processes.rank) * config.part_size
            rngs = generators([mix_seed(config.seed, first + i) for i in range(config.part_size)])
            steps = plan.rollout(part, config, self.schedule.num_timesteps)
            trajectory = roll_out(self.losses.policy, rngs, self.picture_shape, steps, self.compute.device)
            self._now.parts.append(Part(trajectory, first))

    def _score(self) -> None:
        """Score the pictures of all processes together, which is what an advantage is relative to."""
        config, now = self.config, self._now
        # As uint8, since that is what is shown, scored and saved; scores of the app and of the trainer are the same.
        pictures = torch.cat([from_uint8(to_uint8(part.trajectory.pictures)) for part in now.parts])
        scores = score_pictures(self.reward, pictures, self.compute.device, self.processes)
        all_scores = self.processes.gather_in_turn(scores, config.part_size)
        descriptions = self.processes.gather(describe_pictures(pictures))
        now.diversity = spread(descriptions)
        if self.epoch == 0:
            self.first = FirstEpoch(now.diversity, standard_deviation(all_scores) or 1.0, descriptions[:MOST].clone())
        elif self.first.descriptions is not None:
            now.modes = compare_modes(descriptions, self.first.descriptions)
        for part, judgement in zip(now.parts, judge(all_scores, config, self.processes), strict=True):
            part.advantage = judgement.advantage.to(self.compute.device)
            if judgement.regression_weights is not None:
                part.regression_weights = judgement.regression_weights.to(self.compute.device)
        now.scores = all_scores

    def _update(self) -> UpdateMetrics:
        """One optimizer step."""
        config, now = self.config, self._now
        rate = config.learning_rate * learning_rate_factor(self.epoch, config, now.updates / self.updates_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        weight, parts = reward_weight(self._diversity, config.diversity_floor), self._parts_of_update()
        figures = LossFigures()
        for part in parts:
            figures = figures + self.losses.backward(part, len(parts), now.updates, weight, self.first.reward_scale)
        norm = descend(self.optimizer, self.trainable.values(), config.max_grad_norm, self.processes)
        self.average.update(self.epoch * self.updates_per_epoch + now.updates)
        figures = figures.averaged(self.processes)
        metrics = figures.metrics(len(parts) * config.losses_of_a_part, norm, rate, weight)
        now.add(metrics)
        return metrics

    def _parts_of_update(self) -> list[Part]:
        config, now = self.config, self._now
        if config.algorithm == "ddpo-sf":
            return now.parts
        inner, index = divmod(now.updates, config.batches_per_epoch)
        batch = plan_epoch(self.epoch, config).orders[inner][index]
        return now.parts[batch * config.accumulation : (batch + 1) * config.accumulation]

    def _finish_epoch(self) -> EpochMetrics:
        now, diversity = self._now, self._diversity
        self.epoch += 1
        self._now = EpochState()
        samples = self.config.samples_per_epoch(self.processes.count)
        return now.metrics(self.step, self.epoch, self.config.epochs, diversity, samples, self.seconds)

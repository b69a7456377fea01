"""A finetuning run, cut into slices of a lent GPU: how many it takes, and how far a day's quota brings it.

Planned from what `lent_gpu` assumes of the GPU, until the run itself has measured it. Torch is not imported here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ddpo.common import lent_gpu
from ddpo.diffusion.network import Network
from ddpo.runs.estimate import GRID_EVALUATIONS, gpu_seconds
from ddpo.training.config import TrainConfig
from ddpo.training.work import evaluated_epochs, evaluations_of_the_eye, passes_of_a_picture

GRID_PICTURES = 8
EYE_BATCH = 32  # held-out pictures that are drawn at once, see `sampling.sample_pictures`


@dataclass(frozen=True)
class Slice:
    """One loan of the GPU."""

    seconds: int  # of quota that it asks for
    training: float  # of these, what is left for training


@dataclass(frozen=True)
class RunPlan:
    """What is still to be done of a run, in slices."""

    each: Slice
    epochs: int  # still to be done
    epoch_seconds: float
    first_seconds: float  # on top, in the first slice of a run: the base's pictures and more checkpoints
    longest_step: float  # seconds; a slice ends between two steps
    saving: float  # seconds of a checkpoint
    measured: bool  # by the run itself; else assumed

    @property
    def usable(self) -> float:
        """Seconds of a slice that bring the run forward: it ends when there may be no time for a step and to save."""
        return self.each.training - self.longest_step - 2 * self.saving

    @property
    def fits(self) -> bool:
        """Whether a slice has room for every step; else none would ever be done."""
        return self.usable > 0

    @property
    def slices(self) -> int:
        """How many slices do it all; of a run that fits."""
        return max(1, math.ceil((self.first_seconds + self.epochs * self.epoch_seconds) / self.usable))

    def epochs_in(self, slices: int) -> int:
        """How many epochs are done after so many slices; of a run that fits."""
        seconds = slices * self.usable - self.first_seconds
        return min(self.epochs, max(0, math.floor(seconds / self.epoch_seconds)))


def plan_run(config: TrainConfig, network: Network, each: Slice, megabytes: float) -> RunPlan:
    """A whole run.

    Args:
        config: of the run.
        network: of the model.
        each: the slices that it is cut into.
        megabytes: of the model's weights.
    """
    grid = gpu_seconds(network, GRID_EVALUATIONS // GRID_PICTURES, GRID_PICTURES)
    batch, inner = _steps(config, network)
    updates = config.batches_per_epoch * config.inner_epochs
    scoring = config.samples_per_epoch() * network.sample_size**2 / lent_gpu.PIXELS_SCORED
    look = _look(config, network)
    looks = look * len(evaluated_epochs(config)) / config.epochs
    seconds = config.batches_per_epoch * batch + scoring + updates * inner + grid + looks
    # A checkpoint holds what is trained, AdamW's two moments of it, and its average.
    copies = (4 if config.ema_decay > 0 else 3) if config.weights == "all" else 0
    saving = copies * megabytes / lent_gpu.MEGABYTES_READ
    # The first slice saves after every new kind of step.
    first = grid + 3 * saving
    return RunPlan(each, config.epochs, seconds, first, max(batch, scoring, inner, look), saving, measured=False)


def _look(config: TrainConfig, network: Network) -> float:
    """Seconds of a look at the held-out seeds."""
    if config.eval_seeds == 0:
        return 0.0
    scoring = config.eval_seeds * network.sample_size**2 / lent_gpu.PIXELS_SCORED
    batches = math.ceil(config.eval_seeds / EYE_BATCH)
    return batches * gpu_seconds(network, evaluations_of_the_eye(config), EYE_BATCH) + scoring


def plan_rest(plan: RunPlan, epochs_done: int, training_seconds: float) -> RunPlan:
    """What is left of a run that has done some epochs, by what these took.

    Args:
        plan: of the whole run.
        epochs_done: whole ones.
        training_seconds: that they took.
    """
    if epochs_done == 0:
        return plan
    pace, left = training_seconds / epochs_done, max(0, plan.epochs - epochs_done)
    longest = min(plan.longest_step, pace)
    return replace(plan, epochs=left, epoch_seconds=pace, first_seconds=0.0, longest_step=longest, measured=True)


def _steps(config: TrainConfig, network: Network) -> tuple[float, float]:
    """Seconds of drawing a batch, the base's evaluations included, and of an update from one."""
    evaluations, passes = passes_of_a_picture(config)
    part = config.part_size
    evaluation = lent_gpu.EVALUATION[config.weights] * gpu_seconds(network, 1, part)
    draw = evaluation * evaluations
    update = lent_gpu.TRAINING_PASS[config.weights] * evaluation * passes / config.inner_epochs
    return config.accumulation * draw, config.accumulation * update

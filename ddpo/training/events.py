"""What the trainer tells of its steps, for whoever shows or keeps it."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Literal

from ddpo.training.held_out_curve import HeldOutEvaluation

StepKind = Literal["sample", "score", "update", "evaluate"]


@dataclass(frozen=True)
class UpdateMetrics:
    """What one optimizer step did, over all processes but where one is named."""

    loss: float  # what was minimised, KL penalty included
    kl: float  # to the base, mean over pixels, measured steps and samples; NaN where the algorithm has no policy
    clip_fraction: float  # share of the importance ratios outside the clip range, in [0, 1]
    ratio_deviation: float  # largest |rho - 1|, on the main process
    grad_norm: float  # before clipping
    learning_rate: float
    reward_weight: float  # of the reward against the penalty, in (0, 1]
    output_change: float = math.nan  # squared, of the network's output against the base's; NaN: not measured

    def __add__(self, other: UpdateMetrics) -> UpdateMetrics:
        """Figure by figure."""
        return UpdateMetrics(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch did, over all processes. Rewards are of the pictures sampled before its updates."""

    step: int  # of the run, 1 .. steps, that ended it
    epoch: int  # 1 .. epochs
    epochs: int
    reward_mean: float
    reward_std: float
    reward_quantiles: tuple[float, float, float]  # 10%, 50%, 90%
    kl: float  # mean over the updates, as everything below but the next
    first_ratio_deviation: float  # largest |rho - 1| before the first update: exactly 0 when all is well
    clip_fraction: float
    grad_norm: float
    learning_rate: float
    reward_weight: float
    diversity: float  # against the samples of the first epoch, 1.0 = as diverse
    samples: int  # drawn so far
    seconds: float  # of training so far
    samples_per_second: float  # in this epoch, its updates included
    # Effective number of different pictures, as a share of the first epoch's; NaN: in the first, or of too few.
    modes: float = math.nan
    modes_noise: float = math.nan  # its standard error
    recall: float = math.nan  # share of the first epoch's pictures that this one's come near, in [0, 1]
    output_change: float = math.nan  # squared, of the network's output against the base's; NaN: not measured


@dataclass(frozen=True)
class StepDone:
    """One step of the run is over, and `state_dict` may be taken."""

    step: int  # 1 .. steps
    steps: int
    epoch: int  # 1 .. epochs, the one that the step belongs to; 0 of a look at the base
    kind: StepKind
    update: UpdateMetrics | None = None  # of an optimizer step
    finished_epoch: EpochMetrics | None = None  # with the last step of an epoch
    evaluation: HeldOutEvaluation | None = None  # of a look at the held-out seeds

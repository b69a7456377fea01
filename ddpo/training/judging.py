"""From the scores of an epoch to what each part of a batch learns from them, on this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpo.training.config import TrainConfig
from ddpo.training.objective import advantages, regression_weights, sparse_weights
from ddpo.training.processes import Processes


@dataclass(frozen=True)
class Judgement:
    """What the samples of a part are worth."""

    advantage: Tensor  # (B,) float32
    regression_weights: Tensor | None  # (B,) float32, with algorithm rwr


def judge(scores: Tensor, config: TrainConfig, processes: Processes) -> Iterator[Judgement]:
    """What the samples of this process are worth, part by part.

    Args:
        scores: (N,) of all processes, part by part, the processes side by side in each.
        config: of the run.
        processes: those that train together.
    """
    advantage = torch.cat([_advantages(each, config) for each in _competing(scores, config)])
    weights = _regression_weights(scores, advantage, config) if config.algorithm == "rwr" else None
    places = -1, processes.count, config.part_size
    for part in range(len(scores) // (processes.count * config.part_size)):
        own = None if weights is None else weights.view(places)[part, processes.rank]
        yield Judgement(advantage.view(places)[part, processes.rank], own)


def _competing(scores: Tensor, config: TrainConfig) -> tuple[Tensor, ...]:
    """The scores that are judged against each other: of the epoch, or of each batch."""
    return scores.chunk(config.batches_per_epoch) if config.advantages_over == "batch" else (scores,)


def _advantages(scores: Tensor, config: TrainConfig) -> Tensor:
    return advantages(scores, config.advantage_clip, config.group_size, config.baseline == "leave-one-out")


def _regression_weights(scores: Tensor, advantage: Tensor, config: TrainConfig) -> Tensor:
    """The weights (N,) of all samples, as `rwr_weights` has them."""
    if config.rwr_weights == "best":
        return sparse_weights(scores, config.best_share)
    return regression_weights(scores if config.rwr_weights == "reward" else advantage, config.temperature)

"""How many different pictures there are, and how many of another model's they come near.

`diversity` is a second moment and cannot count: eight pictures that are repeated keep almost all of it. Two measures in
the same space of descriptions can.

    modes   Vendi score (Friedman and Dieng 2023, arXiv 2210.02410): the effective number of different pictures, as the
            exponential of the entropy of the eigenvalues of K / n, with a Gaussian kernel K
    recall  share of the other model's pictures that lie within reach of one of these, whose reach is the distance to
            its third nearest neighbour (Kynkäänniemi et al. 2019, arXiv 1904.06991)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

WIDTH = 0.2  # of the kernel: repeats count once, and church-64's drawings as different (tests/training/test_modes.py)
NEIGHBOURS = 3
MOST = 256  # pictures that are looked at: the time goes with their cube
FOLDS = 8  # of the jackknife


@dataclass(frozen=True)
class Modes:
    """What a model has of another's pictures. NaN: too few pictures to say."""

    kept: float = math.nan  # effective number of different pictures, as a share of the other's; 1.0 = as many
    noise: float = math.nan  # standard error of that
    recall: float = math.nan  # in [0, 1]; below 1 also for two lots of one model's


def compare_modes(descriptions: Tensor, reference: Tensor) -> Modes:
    """Compare pictures with those of another model.

    Args:
        descriptions: (N, F) of `diversity.describe_pictures`.
        reference: (M, F) of the other model's; of both the first min(N, M, MOST) are taken, as the counts depend on it.
    """
    count = min(len(descriptions), len(reference), MOST)
    if count < 2 * FOLDS:
        return Modes()
    ours, theirs = descriptions[:count].double(), reference[:count].double()
    mine, others = vendi_score(ours), vendi_score(theirs)
    relative = math.hypot(standard_error(ours, vendi_score) / mine, standard_error(theirs, vendi_score) / others)
    return Modes(mine / others, mine / others * relative, recall(ours, theirs))


def vendi_score(descriptions: Tensor, width: float = WIDTH) -> float:
    """The effective number of different rows of (N, F), from 1 (all alike) to N (none near another)."""
    distances = torch.cdist(descriptions.double(), descriptions.double())
    kernel = torch.exp(-distances.square() / (2 * width**2)) / len(descriptions)
    values = torch.linalg.eigvalsh(kernel).clamp(min=0)
    return float(torch.exp(-torch.special.xlogy(values, values).sum()))


def recall(descriptions: Tensor, reference: Tensor, neighbours: int = NEIGHBOURS) -> float:
    """Share of the reference (M, F) within reach of a row of (N, F), N > neighbours: its k-th neighbour's distance."""
    reach = torch.cdist(descriptions, descriptions).kthvalue(neighbours + 1, dim=1).values  # the first is itself
    near = torch.cdist(reference, descriptions) <= reach[None]
    return float(near.any(1).double().mean())


def standard_error(rows: Tensor, measure: Callable[[Tensor], float]) -> float:
    """Of a measure of rows (N, F), by leaving an eighth of them out at a time (Tukey's jackknife).

    An eighth lies side by side, as the members of a group do, which are no independent pictures.
    """
    fold = torch.arange(len(rows)) * FOLDS // len(rows)
    values = torch.tensor([measure(rows[fold != left_out]) for left_out in range(FOLDS)], dtype=torch.float64)
    return float(((FOLDS - 1) * values.var(unbiased=False)).sqrt())

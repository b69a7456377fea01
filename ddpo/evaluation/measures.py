"""What a score does not say of a model: how many kinds of pictures are left, how far they moved, and by what.

All of it is measured on the pictures of the same seeds, and every figure that is judged by comes with its noise.

    modes      effective number of different pictures, as a share of the base's (`training/modes.py`)
    diversity  mean squared distance of two pictures, as a share of the base's (`training/diversity.py`)
    recall     share of the base's pictures within reach of the model's, as a share of what other pictures of the base
               reach (`training/modes.py`)
    precision  share of the model's pictures within reach of the base's, likewise (Kynkäänniemi et al. 2019)
    nearest    median distance of a picture to the one most like it, as a share of the base's
    distance   kernel distance to the base, with a test (`paired_distance.py`)
    sliders    share of the change that brightness, contrast and saturation of the base's own picture explain
               (`sliders.py`)

Recall and precision cross the halves of the seeds. A picture and its own seed's picture of the other model share their
noise and are alike, so they would reach each other whatever else the model draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ddpo.diffusion.pictures import from_uint8
from ddpo.errors import UserError
from ddpo.evaluation.measured import FEWEST, Measures, Share
from ddpo.evaluation.paired_distance import paired_distance
from ddpo.evaluation.sliders import explained_by_sliders
from ddpo.training.diversity import describe_pictures, spread
from ddpo.training.modes import FOLDS, MOST, recall, vendi_score

VERSION = 1  # raised with every change of a figure; kept measures of another version are not taken


def measure(base: np.ndarray, tuned: np.ndarray) -> Measures | None:
    """Measure pictures of the same seeds; of both at most the first `modes.MOST`.

    Args:
        base: (N, H, W, 3) uint8, at least 16 pixels a side.
        tuned: (N, H, W, 3) uint8, in the order of the same seeds.

    Returns:
        None below `FEWEST` pictures.

    Raises:
        UserError: the two are not of one shape, or no such pictures.
    """
    if base.shape != tuned.shape:
        raise UserError(f"Pictures of {base.shape} and {tuned.shape} cannot be measured against each other.")
    if len(base) < FEWEST:
        return None
    before, after = from_uint8(base[:MOST]), from_uint8(tuned[:MOST])
    theirs, ours = describe_pictures(before).double(), describe_pictures(after).double()
    return Measures(
        count=len(before),
        modes=_share(ours, theirs, _as_share(vendi_score)),
        diversity=_share(ours, theirs, _as_share(spread)),
        recall=_share(ours, theirs, _recall_kept),
        precision=_share(ours, theirs, _precision_kept),
        nearest=_share(ours, theirs, _as_share(_nearest)),
        distance=paired_distance(before, after),
        sliders=explained_by_sliders(before, after),
    )


Compared = Callable[[Tensor, Tensor], float]  # descriptions (N, F) of ours and of the base's -> a share


def _share(ours: Tensor, theirs: Tensor, compared: Compared) -> Share:
    """A share and its standard error, by leaving an eighth of the seeds out of both at a time (Tukey's jackknife)."""
    fold = torch.arange(len(ours)) * FOLDS // len(ours)
    kept = [fold != left_out for left_out in range(FOLDS)]
    values = np.array([compared(ours[rows], theirs[rows]) for rows in kept])
    return Share(compared(ours, theirs), float(math.sqrt((FOLDS - 1) * values.var())))


def _as_share(figure: Callable[[Tensor], float]) -> Compared:
    def compared(ours: Tensor, theirs: Tensor) -> float:
        base = figure(theirs)
        return figure(ours) / base if base > 0 else math.nan

    return compared


def _nearest(rows: Tensor) -> float:
    """The median over rows (N, F) of the distance to the nearest other row."""
    distances = torch.cdist(rows, rows)
    distances.fill_diagonal_(math.inf)
    return float(distances.amin(1).median())


def _recall_kept(ours: Tensor, theirs: Tensor) -> float:
    reached = _crossed(recall, ours, theirs)
    return reached / level if (level := _level(theirs)) > 0 else math.nan


def _precision_kept(ours: Tensor, theirs: Tensor) -> float:
    reached = _crossed(lambda first, second: recall(second, first), ours, theirs)
    return reached / level if (level := _level(theirs)) > 0 else math.nan


def _level(theirs: Tensor) -> float:
    """What one half of the base's pictures reaches of the other half."""
    return _crossed(recall, theirs, theirs)


def _crossed(reaching: Compared, first: Tensor, second: Tensor) -> float:
    """The mean over both ways to take every other row of the first and the rows between of the second."""
    return (reaching(first[::2], second[1::2]) + reaching(first[1::2], second[::2])) / 2

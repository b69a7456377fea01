"""How far a model's pictures have moved from the base's: a kernel distance for pictures of the same seeds.

The squared maximum mean discrepancy of KID (Binkowski et al. 2018, arXiv 1801.01401), in the form for pairs (Gretton et
al. 2012, lemma 6 and equation 4), in the scattering features of `features.py`: nothing is downloaded. It is unbiased,
and pictures of one seed, which are alike in both models, are never compared with each other.

Where the two models draw from one distribution, the pictures of a seed may change places. So the test is exact: the
distance against those after random changes of places (Fisher's randomisation test). The space is the same after each,
as it is made from all pictures together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpo.evaluation.features import Whitening, describe
from ddpo.evaluation.kernel_distance import kernel
from ddpo.evaluation.measured import PairedDistance

SIDE = 64  # pixels a side of what `describe` sees, at the most
DIRECTIONS = 32  # of the space at the most; a quarter of the pictures where they are fewer
PLACES = 999  # random changes of places


def paired_distance(before: Tensor, after: Tensor) -> PairedDistance:
    """The distance between pictures of the same seeds.

    Args:
        before: (N, 3, H, W) in [-1, 1], N >= 8.
        after: (N, 3, H, W) in [-1, 1], of the same seeds.
    """
    n = len(before)
    features = describe(reduced(torch.cat([before, after])))
    space = Whitening(features, min(DIRECTIONS, n // 2))(features)
    return from_features(space[:n], space[n:])


def from_features(x: Tensor, y: Tensor) -> PairedDistance:
    """The distance of features (N, D) and (N, D) of the same seeds: the mean of h over pairs of different seeds, where

    h(i, j) = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i).
    """
    n = len(x)
    across = kernel(x, y)
    h = kernel(x, x) + kernel(y, y) - across - across.T
    h.fill_diagonal_(0)
    rows = h.sum(1)
    value = float(rows.sum() / (n * (n - 1)))
    without_each = (rows.sum() - 2 * rows) / ((n - 1) * (n - 2))
    error = float(((n - 1) / n * (without_each - without_each.mean()).square().sum()).sqrt())
    signs = torch.randint(0, 2, (PLACES, n), generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    others = ((signs @ h) * signs).sum(1) / (n * (n - 1))  # where the pictures of a seed change places, h changes sign
    return PairedDistance(value, error, float((1 + (others >= value).sum()) / (1 + PLACES)))


def reduced(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) with sides of at most SIDE, by means of areas."""
    height, width = pictures.shape[2:]
    return F.interpolate(pictures, size=(min(height, SIDE), min(width, SIDE)), mode="area")

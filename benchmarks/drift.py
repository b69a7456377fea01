"""Whether a figure drifts while a run goes on: a regression that single outliers cannot pull away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def slope(places: Sequence[float], values: Sequence[float]) -> float:
    """The median of the slopes of all pairs of points (Theil 1950, Sen 1968); up to 29% of outliers do not matter.

    Raises:
        ValueError: no two points lie at different places.
    """
    x, y = np.asarray(places, float), np.asarray(values, float)
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] != x[first]
    first, second = first[apart], second[apart]
    if not first.size:
        raise ValueError("There are no two points to draw a line through.")
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


def drift_percent(places: Sequence[float], values: Sequence[float]) -> float:
    """By how much the values rise from the first place to the last, along the line, in percent of their median."""
    rise = slope(places, values) * (max(places) - min(places))
    return 100 * rise / float(np.median(values))

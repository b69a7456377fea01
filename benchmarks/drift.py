"""Whether a figure drifts while a run goes on: a regression that single outliers cannot pull away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def slope(groups: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """The median of the slopes of all pairs of points (Theil 1950, Sen 1968); up to 29% of outliers do not matter.

    Args:
        groups: places and values of points. Only points of one group make a pair, so that a step between two groups
            counts for nothing.

    Raises:
        ValueError: no group has two points at different places.
    """
    slopes = []
    for places, values in groups:
        x, y = np.asarray(places, float), np.asarray(values, float)
        first, second = np.triu_indices(len(x), 1)
        apart = x[second] != x[first]
        first, second = first[apart], second[apart]
        slopes.append((y[second] - y[first]) / (x[second] - x[first]))
    every = np.concatenate(slopes) if slopes else np.empty(0)
    if not every.size:
        raise ValueError("There are no two points to draw a line through.")
    return float(np.median(every))


def drift_percent(places: Sequence[float], values: Sequence[float]) -> float:
    """By how much the values rise from the first place to the last, along the line, in percent of their median."""
    rise = slope([(places, values)]) * (max(places) - min(places))
    return 100 * rise / float(np.median(values))

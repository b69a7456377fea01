"""How often the statistics are right, on simulated scores of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ddpo.evaluation.statistics import Gain, bca_interval, paired_gain

REPETITIONS = 400
Scores = NDArray[np.float64]
Simulated = Callable[
    [np.random.Generator, int], tuple[Scores, float]
]  # gains (repetitions, seeds), and their true mean


def compared(base: Scores, tuned: Scores) -> list[Gain]:
    return [paired_gain(list(before), list(after)) for before, after in zip(base, tuned, strict=True)]


def normal_gains(rng: np.random.Generator, seeds: int) -> tuple[Scores, float]:
    return rng.normal(0.7, 1, (REPETITIONS, seeds)), 0.7


def skewed_gains(rng: np.random.Generator, seeds: int) -> tuple[Scores, float]:
    """As church-64's: a third of the scenes is dull and gains 3, the others gain 0.5."""
    dull = rng.random((REPETITIONS, seeds)) < 1 / 3
    return np.where(dull, 3.0, 0.5) + rng.normal(0, 0.3, dull.shape), (3.0 + 2 * 0.5) / 3


@pytest.mark.parametrize("seeds", [16, 64])
def test_a_model_against_itself_differs_in_one_of_twenty_cases(seeds: int) -> None:
    rng = np.random.default_rng(16)
    base, again = rng.normal(6, 1, (2, REPETITIONS, seeds))
    declared = float(np.mean([gain.direction != 0 for gain in compared(base, again)]))
    assert abs(declared - 0.05) <= 0.025


def test_a_planted_gain_of_half_a_standard_deviation_is_found_with_64_seeds() -> None:
    """Where a seed decides half of the variance of both models' scores, so that gains spread as far as scores do."""
    rng = np.random.default_rng(64)
    common = rng.normal(6, 0.5**0.5, (REPETITIONS, 64))
    base, tuned = common + rng.normal(0, 0.5**0.5, (2, REPETITIONS, 64))
    found = float(np.mean([gain.direction == 1 for gain in compared(base, tuned + 0.5)]))
    assert found > 0.9


@pytest.mark.parametrize("seeds", [16, 64])
@pytest.mark.parametrize("gains_of", [normal_gains, skewed_gains])
def test_the_interval_holds_the_truth_in_19_of_20_cases(gains_of: Simulated, seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    gains, truth = gains_of(rng, seeds)
    base = rng.normal(6, 1, gains.shape)
    intervals = [gain.interval for gain in compared(base, base + gains)]
    assert all(intervals)
    held = float(np.mean([interval is not None and interval[0] <= truth <= interval[1] for interval in intervals]))
    assert abs(held - 0.95) <= 0.025


def test_bca_alone_is_too_narrow_for_few_seeds() -> None:
    """Which is why it is taken only for 16 and more that are skewed."""
    rng = np.random.default_rng(8)
    intervals = [bca_interval(gains) for gains in rng.normal(0, 1, (REPETITIONS, 8))]
    assert np.mean([interval is not None and interval[0] <= 0 <= interval[1] for interval in intervals]) < 0.92

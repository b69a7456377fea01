"""Gains by seed: each part against scipy or a case that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ddpo.common.statistics import paired_statistics
from ddpo.errors import UserError
from ddpo.evaluation.statistics import corrected, holm, mean_interval, paired_gain, power_hint, smallest_gain

RNG = np.random.default_rng(5)
BASE = RNG.normal(6, 1, 24)
SKEWED = BASE + np.where(np.arange(24) % 6 == 0, 3.0, 0.5) + RNG.normal(0, 0.1, 24)


def test_without_skew_the_interval_is_students() -> None:
    gain = paired_gain(list(BASE), list(BASE + RNG.normal(0.4, 0.5, 24)))
    assert not gain.skewed and gain.bca is None and gain.method == "Student's t"
    assert gain.interval == (gain.paired.interval_low, gain.paired.interval_high)


def test_skewed_gains_have_scipys_bca_interval_and_it_is_uneven() -> None:
    gain = paired_gain(list(BASE), list(SKEWED))
    assert gain.skewed and gain.method == "BCa bootstrap" and gain.interval == gain.bca
    rng = np.random.default_rng(3)
    expected = stats.bootstrap((SKEWED - BASE,), np.mean, n_resamples=20_000, method="BCa", random_state=rng)
    assert gain.interval == pytest.approx(tuple(expected.confidence_interval), abs=0.05)
    assert gain.bca is not None
    mean = gain.paired.mean_difference
    assert gain.bca[1] - mean > 1.1 * (mean - gain.bca[0])
    assert paired_gain(list(BASE), list(SKEWED)) == gain  # nothing of it is left to chance


def test_the_test_is_the_paired_t_test_and_says_which_is_higher() -> None:
    gain = paired_gain(list(BASE), list(SKEWED))
    assert gain.p_value == pytest.approx(stats.ttest_rel(SKEWED, BASE).pvalue)
    assert gain.direction == 1 and paired_gain(list(SKEWED), list(BASE)).direction == -1
    assert paired_gain([1.0, 2.0, 3.0], [2.0, 1.0, 3.1]).direction == 0


def test_the_wins_have_wilsons_interval() -> None:
    gain = paired_gain([0.0] * 10, [1.0] * 8 + [-1.0] * 2)
    expected = stats.binomtest(8, 10).proportion_ci(method="wilson")
    assert gain.wins_interval == pytest.approx((expected.low, expected.high))
    tied = paired_gain([0.0] * 10, [1.0] * 7 + [0.0] + [-1.0] * 2)  # 7.5 wins
    assert tied.wins_interval[0] < gain.wins_interval[0] < gain.wins_interval[1] == tied.wins_interval[1]


def test_scores_that_are_all_alike_or_one_alone_have_no_traceback() -> None:
    same = paired_gain([1.0] * 20, [1.0] * 20)
    assert same.direction == 0 and same.p_value == 1.0 and same.interval == (0.0, 0.0)
    shifted = paired_gain([1.0] * 20, [1.5] * 20)
    assert shifted.direction == 1 and shifted.interval == pytest.approx((0.5, 0.5))
    one = paired_gain([1.0], [2.0])
    assert one.interval is None and one.direction == 0 and one.spread is None
    nearly = paired_gain([0.0] * 30, [0.0] * 29 + [1.0])
    assert nearly.direction == 0 and nearly.interval is not None and all(map(math.isfinite, nearly.interval))
    with pytest.raises(UserError):
        paired_gain([1.0], [math.nan])


def test_holm_is_the_step_down_of_the_paper() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == [] and holm([0.02]) == [0.02]


def test_among_many_cells_without_a_difference_few_sets_show_any() -> None:
    """Of sets of 20 comparisons of one model with itself: 64% show some difference uncorrected, about 5% corrected."""
    rng, sets = np.random.default_rng(8), 60
    shown = [0, 0]
    for _ in range(sets):
        scores = rng.normal(0, 1, (20, 2, 12))
        gains = [paired_gain(list(base), list(tuned)) for base, tuned in scores]
        shown[0] += any(gain.direction for gain in gains)
        shown[1] += any(gain.direction for gain in corrected(gains))
    assert shown[0] > 0.4 * sets and shown[1] <= 0.15 * sets


@pytest.mark.parametrize("seeds", [8, 16, 64])
def test_the_hint_is_the_gain_that_is_found_in_nine_of_ten_cases(seeds: int) -> None:
    effect = smallest_gain(seeds)
    gains = np.random.default_rng(seeds).normal(effect, 1, (4000, seeds))
    found = float((stats.ttest_1samp(gains, 0, axis=1).pvalue < 0.05).mean())
    assert found == pytest.approx(0.9, abs=0.02)
    assert smallest_gain(seeds, cells=10) > effect > smallest_gain(2 * seeds)
    assert f"{seeds} seeds find a mean gain of {effect:.2f}" in power_hint(seeds)


def test_the_hint_of_one_seed_says_to_take_more() -> None:
    assert "16 or more" in power_hint(1) and "3 comparisons" in power_hint(16, 3)


def test_it_agrees_with_the_statistics_of_a_comparison() -> None:
    assert paired_gain(list(BASE), list(SKEWED)).paired == paired_statistics(list(BASE), list(SKEWED))


def test_a_mean_has_the_interval_of_a_gain_over_nothing() -> None:
    expected = stats.ttest_1samp(BASE, 0).confidence_interval()
    assert mean_interval(list(BASE)) == pytest.approx((expected.low, expected.high))
    assert mean_interval([4.0]) is None

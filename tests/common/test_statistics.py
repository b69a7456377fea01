"""Paired statistics against scipy."""

from __future__ import annotations

import pytest
from scipy import stats

from ddpo.common.statistics import describe, paired_statistics
from ddpo.common.words import signed
from ddpo.errors import UserError

BASE = [4.0, 5.0, 6.0, 5.5, 4.5]
TUNED = [5.0, 5.5, 7.5, 5.5, 6.0]


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    result = paired_statistics(BASE, TUNED)
    expected = stats.ttest_rel(TUNED, BASE).confidence_interval(0.95)
    assert (result.interval_low, result.interval_high) == pytest.approx((expected.low, expected.high))
    assert result.mean_difference == pytest.approx(0.9)
    assert result.win_rate == pytest.approx(0.9)  # four wins and a tie
    assert result.gain_in_sd == pytest.approx(0.9 / stats.tstd(BASE))


def test_one_pair_has_no_interval_and_says_so() -> None:
    result = paired_statistics([4.0], [5.0])
    assert result.interval_low is None and result.gain_in_sd is None
    assert "draw more" in describe(result, "photographic")


def test_the_sentence_tells_better_worse_and_undecided_apart() -> None:
    better = describe(paired_statistics(BASE, TUNED), "photographic")
    assert "0.90 higher" in better and "photographic" in better and "wins 4 of 5, with 1 tie" in better
    assert "0.90 lower" in describe(paired_statistics(TUNED, BASE), "photographic")
    open_ = describe(paired_statistics([1.0, 2.0], [3.0, 2.5]), "photographic")
    assert open_.startswith("Over 2 seeds no difference is shown: the mean difference is +1.25 (photographic, 95%")
    assert "and the finetuned model wins 2 of 2" in open_


def test_a_difference_that_rounds_to_zero_is_not_called_zero() -> None:
    assert "scores less than 0.01 higher" in describe(paired_statistics([1.0], [1.001]), "photographic")
    assert "scores 0.01 lower" in describe(paired_statistics([1.0], [0.994]), "photographic")


def test_minus_a_size_is_told_as_a_size() -> None:
    smaller = describe(paired_statistics([-5.0, -6.0, -7.0], [-4.5, -5.4, -6.5]), "jpeg", "kB", minus_a_size=True)
    assert (
        "the finetuned model's files are 0.53 kB smaller on average (jpeg, 95% interval -0.68 to -0.39 kB)" in smaller
    )
    assert smaller.endswith("and the finetuned model wins 3 of 3.")


def test_the_same_scores_are_called_the_same_and_zero_has_no_sign() -> None:
    assert describe(paired_statistics([1.0, 2.0], [1.0, 2.0]), "photographic") == (
        "On all 2 seeds both models score the same (photographic)."
    )
    assert "this one seed both models score the same" in describe(paired_statistics([1.0], [1.0]), "photographic")
    close = describe(paired_statistics([1.0, 2.0], [1.001, 1.999]), "photographic")
    assert "the mean difference is 0.00 (" in close and "+0.0" not in close.replace("to +0.01", "")
    assert [signed(value, 2) for value in (-0.001, 0.0, 0.004, 0.25, -1.5)] == [
        "0.00",
        "0.00",
        "0.00",
        "+0.25",
        "-1.50",
    ]


@pytest.mark.parametrize(("base", "tuned"), [([], []), ([1.0], [1.0, 2.0]), ([float("nan")], [1.0])])
def test_scores_that_cannot_be_compared_are_refused(base: list[float], tuned: list[float]) -> None:
    with pytest.raises(UserError):
        paired_statistics(base, tuned)

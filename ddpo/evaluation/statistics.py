"""Statistics of many paired comparisons: intervals that stand skewed gains, a correction for many cells, and power.

Everything is paired by seed: a gain is what the finetuned model scores on a seed, less what the base scores on it.
Student's t interval of the mean gain is the rule. Where the gains are skewed, the interval is the bootstrap's BCa
(Efron 1987): it may lie unevenly around the mean, as the truth does. It is no rule for all, because it is too narrow
for few seeds: tests/evaluation/test_coverage.py measures both on normal gains and on skewed ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ddpo.common.statistics import PairedStatistics, paired_statistics

LEVEL = 0.95  # of every interval
ALPHA = 1 - LEVEL  # share of comparisons without a difference in which one may be declared
FEWEST_FOR_BCA = 16  # seeds, below which BCa is too narrow whatever the gains look like
RESAMPLES = 1999  # of the bootstrap; (RESAMPLES + 1) * ALPHA / 2 is whole
POWER = 0.9  # share of cases in which a gain is to be found
Interval = tuple[float, float]


@dataclass(frozen=True)
class Gain:
    """What the same seeds say of two models. In the units of the score unless noted."""

    paired: PairedStatistics  # means, Student's interval, share of wins
    spread: float | None  # standard deviation of the gains; None for one seed
    skewed: bool  # whether D'Agostino's test finds the gains skewed
    bca: Interval | None  # 95% bootstrap interval of the mean gain, where they are skewed
    p_value: float  # of the paired t test, two-sided, in [0, 1]; 1 for one seed
    p_corrected: float  # after Holm's correction for all cells; `paired_gain` alone leaves it as it is

    @property
    def interval(self) -> Interval | None:
        """The 95% interval to show; None for one seed."""
        low, high = self.paired.interval_low, self.paired.interval_high
        return self.bca or (None if low is None or high is None else (low, high))

    @property
    def method(self) -> str:
        """How that interval was made."""
        return "BCa bootstrap" if self.bca else "Student's t"

    @property
    def wins_interval(self) -> Interval:
        """The 95% interval of the share of wins (Wilson 1927), in [0, 1].

        A tie counts half, and where that leaves half a win it is left out below and added above.
        """
        from scipy import stats  # takes half a second to import, so only where it is needed

        wins = self.paired.win_rate * self.paired.n
        low, high = (
            stats.binomtest(int(count), self.paired.n).proportion_ci(LEVEL, method="wilson")
            for count in (math.floor(wins + 1e-9), math.ceil(wins - 1e-9))
        )
        return float(low.low), float(high.high)

    @property
    def direction(self) -> int:
        """1: the finetuned model scores higher. -1: lower. 0: no difference is shown.

        A difference is shown where the corrected test and the interval both say so.
        """
        if self.interval is None or self.p_corrected >= ALPHA or self.interval[0] <= 0 <= self.interval[1]:
            return 0
        return 1 if self.paired.mean_difference > 0 else -1


def paired_gain(base: Sequence[float], tuned: Sequence[float]) -> Gain:
    """Compare two models by the scores of the same seeds.

    Args:
        base: n >= 1 scores of the base model.
        tuned: n scores of the other, in the same order.

    Raises:
        UserError: the two are empty, of different lengths, or hold a score that is not finite.
    """
    paired = paired_statistics(base, tuned)
    gains = np.subtract(tuned, base, dtype=np.float64)
    spread = float(gains.std(ddof=1)) if paired.n > 1 else None
    skewed = is_skewed(gains)
    p_value = _p_value(gains)
    return Gain(paired, spread, skewed, bca_interval(gains) if skewed else None, p_value, p_value)


def mean_interval(scores: Sequence[float]) -> Interval | None:
    """The 95% interval of the mean of independent scores, made as that of gains is; None for one score.

    Raises:
        UserError: there is none, or one is not finite.
    """
    return paired_gain([0.0] * len(scores), scores).interval


def corrected(gains: Sequence[Gain]) -> list[Gain]:
    """The same gains, with their p-values corrected for how many they are (see `holm`)."""
    adjusted = holm([gain.p_value for gain in gains])
    return [replace(gain, p_corrected=p) for gain, p in zip(gains, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979): those below alpha hold together, with an error in any of them in alpha of cases.

    Args:
        p_values: m of them, each in [0, 1].

    Returns:
        max over j <= i of min(1, (m - j + 1) p_(j)), in the order of the arguments.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    result = np.empty_like(p)
    result[order] = adjusted
    return [float(value) for value in result]


def is_skewed(gains: NDArray[np.float64]) -> bool:
    """Whether gains (n,) are skewed beyond chance (D'Agostino 1970) and enough for `bca_interval`."""
    if len(gains) < FEWEST_FOR_BCA or _is_constant(gains):
        return False
    from scipy import stats

    return float(stats.skewtest(gains).pvalue) < ALPHA


def bca_interval(gains: NDArray[np.float64]) -> Interval | None:
    """The bias-corrected and accelerated bootstrap interval of the mean of gains (n,), always the same for the same.

    Returns:
        None where it has none, as for gains of which nearly all are alike.
    """
    from scipy import stats

    found = stats.bootstrap(
        (gains,), np.mean, axis=-1, n_resamples=RESAMPLES, confidence_level=LEVEL, method="BCa",
        random_state=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    low, high = float(found.low), float(found.high)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def smallest_gain(seeds: int, cells: int = 1) -> float:
    """The gain that so many seeds find in `POWER` of cases, in standard deviations of the gains.

    It solves for the noncentrality of the two-sided paired t test (Cohen 1988, chapter 2).

    Args:
        seeds: n >= 2.
        cells: comparisons that are corrected for; the figure is that of the one that must pass the strictest.
    """
    from scipy import stats
    from scipy.optimize import brentq

    freedom = seeds - 1
    bound = float(stats.t.ppf(1 - ALPHA / (2 * cells), freedom))

    def lacking(effect: float) -> float:
        return POWER - float(stats.nct.sf(bound, freedom, effect * math.sqrt(seeds)))

    return float(brentq(lacking, 0, (2 * bound + 20) / math.sqrt(seeds)))


def power_hint(seeds: int, cells: int = 1) -> str:
    """What so many seeds can show, in a sentence; arguments as in `smallest_gain`, and one seed has one too."""
    if seeds < 2:
        return "One seed shows nothing about the others; take 16 or more."
    among = f" after the correction for {cells} comparisons" if cells > 1 else ""
    return (
        f"{seeds} seeds find a mean gain of {smallest_gain(seeds, cells):.2f} standard deviations of the gains in 9 of "
        f"10 cases{among}."
    )


def _p_value(gains: NDArray[np.float64]) -> float:
    if len(gains) < 2:
        return 1.0
    if _is_constant(gains):
        return 1.0 if gains[0] == 0 else 0.0
    from scipy.special import stdtr  # a tenth of the time of scipy.stats.ttest_1samp, which it is tested against

    t = gains.mean() / gains.std(ddof=1) * math.sqrt(len(gains))
    return 2 * float(stdtr(len(gains) - 1, -abs(t)))


def _is_constant(gains: NDArray[np.float64]) -> bool:
    """Whether all are the same up to rounding, so that no moment above the first means anything."""
    return bool(np.ptp(gains) <= 1e-9 * np.abs(gains).max(initial=0))

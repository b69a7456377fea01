"""Paired statistics of base against finetuned: the same seeds, drawn by both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ddpo.common.words import signed
from ddpo.errors import UserError


@dataclass(frozen=True)
class PairedStatistics:
    """What n pairs of scores say. All in the units of the score unless noted."""

    n: int
    mean_base: float
    mean_tuned: float
    mean_difference: float  # finetuned minus base
    interval_low: float | None  # 95% interval of the mean difference (Student's t); None where n < 2
    interval_high: float | None
    win_rate: float  # share of the pairs in which the finetuned model scores higher, in [0, 1]; a tie counts half
    gain_in_sd: float | None  # mean difference in standard deviations of the base's scores; None where there is none
    ties: int = 0  # pairs of the same score

    @property
    def wins(self) -> int:
        """Pairs in which the finetuned model scores higher."""
        return round(self.win_rate * self.n - self.ties / 2)


def paired_statistics(base: Sequence[float], tuned: Sequence[float]) -> PairedStatistics:
    """Compare two models by the scores of the same seeds.

    Args:
        base: n >= 1 scores of the base model.
        tuned: n scores of the finetuned model, in the same order.

    Raises:
        UserError: the two are empty, of different lengths, or hold a score that is not finite.
    """
    if not base or len(base) != len(tuned):
        raise UserError("A paired comparison needs the same number of scores from both models, at least one.")
    if not all(map(math.isfinite, [*base, *tuned])):
        raise UserError("The scorer returned a score that is not a finite number, so there is nothing to compare.")
    n = len(base)
    differences = [after - before for before, after in zip(base, tuned, strict=True)]
    mean = sum(differences) / n
    low, high = _t_interval(differences, mean)
    wins, ties = sum(d > 0 for d in differences), sum(d == 0 for d in differences)
    spread = _standard_deviation(base)
    return PairedStatistics(
        n=n,
        mean_base=sum(base) / n,
        mean_tuned=sum(tuned) / n,
        mean_difference=mean,
        interval_low=low,
        interval_high=high,
        win_rate=(wins + ties / 2) / n,
        gain_in_sd=mean / spread if spread else None,
        ties=ties,
    )


def describe(
    statistics: PairedStatistics, scorer: str, unit: str = "", decimals: int = 2, minus_a_size: bool = False
) -> str:
    """One sentence: how much better the finetuned model is, and how sure we are.

    Args:
        statistics: of the comparison.
        scorer: name of the score, which always stands beside it.
        unit: of the score, or "".
        decimals: digits to show.
        minus_a_size: the score is minus the size of a file, which is told in place of it.
    """
    s, mean = statistics, statistics.mean_difference
    suffix = f" {unit}" if unit else ""
    least = 10.0**-decimals
    amount = f"{'less than ' if abs(mean) < least / 2 else ''}{max(abs(mean), least):.{decimals}f}{suffix}"
    found = f"the finetuned model scores {amount} {'higher' if mean > 0 else 'lower'}"
    if minus_a_size:
        found = f"the finetuned model's files are {amount} {'smaller' if mean > 0 else 'larger'}"
    wins = f"wins {s.wins} of {s.n}" + (f", with {s.ties} tie{'s' if s.ties > 1 else ''}" if s.ties else "")
    if s.ties == s.n:
        return f"On {'this one seed' if s.n == 1 else f'all {s.n} seeds'} both models score the same ({scorer})."
    if s.interval_low is None or s.interval_high is None:
        return f"On this one seed {found} ({scorer}); one pair says nothing about the others, so draw more."
    low, high = (-s.interval_high, -s.interval_low) if minus_a_size else (s.interval_low, s.interval_high)
    interval = f"95% interval {signed(low, decimals)} to {signed(high, decimals)}{suffix}"
    if s.interval_low <= 0 <= s.interval_high:
        return (
            f"Over {s.n} seeds no difference is shown: the mean difference is "
            f"{signed(-mean if minus_a_size else mean, decimals)}{suffix} ({scorer}, {interval}), and the finetuned "
            f"model {wins}; more seeds narrow the interval."
        )
    tail = f"and the finetuned model {wins}" if minus_a_size else f"and {wins}"
    return f"Over {s.n} seeds {found} on average ({scorer}, {interval}) {tail}."


def _standard_deviation(values: Sequence[float]) -> float | None:
    n = len(values)
    if n < 2:
        return None
    mean = sum(values) / n
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))


def _t_interval(differences: Sequence[float], mean: float) -> tuple[float | None, float | None]:
    spread = _standard_deviation(differences)
    if spread is None:
        return None, None
    from scipy.stats import t  # takes half a second to import, so only where it is needed

    half_width = float(t.ppf(0.975, len(differences) - 1)) * spread / math.sqrt(len(differences))
    return mean - half_width, mean + half_width

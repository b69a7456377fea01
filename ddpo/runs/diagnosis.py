"""Tells a healthy run from a sick one, in words, by the figures of its epochs alone.

The limits were set on curves measured on church-64: healthy runs keep a KL of 1e-5 to 3e-3, gradient norms that vary up
to fivefold, and a standard deviation of the rewards that falls to a sixth while all pictures become good; so neither a
single large figure nor a small deviation alone is a sign of sickness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from ddpo.training.events import EpochMetrics

Verdict = Literal["waiting", "healthy", "flat", "hacking", "collapse", "divergence"]

RECENT = 3  # epochs that are averaged to see through the noise
FIRST_LOOK = 4  # epochs before anything is said, but of figures that are not finite
LONG_ENOUGH = 8  # epochs after which a reward should have risen
RISE = 0.3  # standard deviations of the base's rewards, from which on a reward has risen
STILL_MOVING = (
    0.05  # standard deviations of the rewards, or share of the diversity, from three epochs to the next three
)
FALL = 0.75  # standard deviations below its best, from which on a reward has fallen
LESS_VARIED = 0.75  # share of the base's diversity
ALIKE = 0.4
ALIKE_FOR_NOTHING = 0.6  # where the reward has not even risen
ONE_SCORE = 0.05  # of the base's standard deviation: all pictures score the same
LARGE_KL = 0.02  # mean over pixels and steps; six times the largest of a healthy run
EXPLODED_KL = 0.1
EXPLODED_GRADIENT = 20.0  # times the median of the epochs before


@dataclass(frozen=True)
class Diagnosis:
    """What a run looks like, for someone who knows nothing of the figures."""

    verdict: Verdict
    title: str
    sentence: str  # what is the matter and what to do


def diagnose(epochs: Sequence[EpochMetrics], base_std: float | None = None, finished: bool = False) -> Diagnosis:
    """Judge a run.

    Args:
        epochs: its finished epochs, in order; NaN stands for numbers that are not finite.
        base_std: standard deviation of the base model's rewards; None: that of the first epoch.
        finished: no epochs are left, so that nothing is said of stopping it or letting it go on.
    """
    anew = "start a new run" if finished else "stop the run and start a new one"
    if not_finite := _not_finite(epochs[-1:]):
        return Diagnosis(
            "divergence",
            "Diverged",
            f"The {not_finite} is no longer a finite number, so the model is broken; {anew} with a lower "
            "learning_rate.",
        )
    if len(epochs) < FIRST_LOOK:
        return _waiting(len(epochs), finished)
    curves = _Curves(epochs, base_std)
    sickness = _divergence(curves, anew) or _collapse(curves, anew) or _hacking(curves, finished)
    return sickness or _healthy(curves, finished) or _flat(curves, anew, finished)


class _Curves:
    """The figures of a run, rewards in standard deviations of the base's, counted from the first epoch's mean."""

    def __init__(self, epochs: Sequence[EpochMetrics], base_std: float | None) -> None:
        first_std = _series(epochs, "reward_std")[:1]
        self.scale = base_std or (first_std[0] if first_std else 0.0)
        unit = self.scale or 1.0
        means = _series(epochs, "reward_mean")
        self.rewards = [(mean - means[0]) / unit for mean in means]
        self.spreads = [std / unit for std in _series(epochs, "reward_std")]
        self.diversities = _series(epochs, "diversity") or [1.0]
        self.kls = _series(epochs, "kl")
        self.gradients = _series(epochs, "grad_norm")
        samples = max(_series(epochs, "samples")[:1] or [64.0])
        self.noise = math.sqrt((1 + 1 / RECENT) / max(samples, 1))  # of `rise`, where nothing is learned

    @property
    def count(self) -> int:
        return len(self.rewards)

    @property
    def rise(self) -> float:
        return _recent(self.rewards)

    @property
    def has_risen(self) -> bool:
        return self.rise >= max(RISE, 2 * self.noise)

    @property
    def still_rises(self) -> bool:
        return _recent(self.rewards) - _before(self.rewards) > STILL_MOVING

    @property
    def diversity(self) -> float:
        return _recent(self.diversities)

    @property
    def diversity_falls(self) -> bool:
        return _before(self.diversities) - self.diversity > STILL_MOVING

    @property
    def best(self) -> tuple[float, int]:
        """The best reward seen through the noise, and its epoch."""
        windows = [(fmean(self.rewards[end - RECENT : end]), end) for end in range(RECENT, self.count + 1)]
        return max([(0.0, 1), *windows])


def _divergence(curves: _Curves, anew: str) -> Diagnosis | None:
    best, epoch = curves.best
    fall = best - curves.rise
    if fall > max(FALL, 3 * curves.noise, 0.4 * best):
        reason = f"The reward has fallen {fall:.1f} standard deviations below its best, that of epoch {epoch}"
    elif len(curves.kls) >= RECENT and min(curves.kls[-RECENT:]) > EXPLODED_KL:
        reason = f"The model has gone far from the base (KL {_recent(curves.kls):.2g})"
    elif _gradient_explodes(curves.gradients):
        reason = f"The gradients have become more than {EXPLODED_GRADIENT:.0f} times as large as they were"
    else:
        return None
    return Diagnosis(
        "divergence",
        "Diverging: the training has become unstable",
        f"{reason}; {anew} with a third of the learning_rate, and a higher kl_weight if that does not help.",
    )


def _gradient_explodes(gradients: list[float]) -> bool:
    earlier = gradients[:-RECENT]
    return len(earlier) >= RECENT and min(gradients[-RECENT:]) > EXPLODED_GRADIENT * median(earlier)


def _collapse(curves: _Curves, anew: str) -> Diagnosis | None:
    one_score = _recent(curves.spreads) < ONE_SCORE and curves.diversity < LESS_VARIED and curves.diversity_falls
    limit = ALIKE if curves.has_risen else ALIKE_FOR_NOTHING
    if curves.diversity >= limit and not one_score:
        return None
    return Diagnosis(
        "collapse",
        "Collapsing: all pictures become alike",
        f"The pictures are only {curves.diversity:.0%} as varied as the base's; {anew} with a higher "
        "kl_weight, a lower learning_rate or fewer epochs.",
    )


def _hacking(curves: _Curves, finished: bool) -> Diagnosis | None:
    less_varied = curves.diversity < LESS_VARIED and (curves.still_rises or curves.diversity_falls)
    far = bool(curves.kls) and _recent(curves.kls) > LARGE_KL
    if not curves.has_risen or not (less_varied or far):
        return None
    price = f"the pictures are only {curves.diversity:.0%} as varied as the base's"
    if not less_varied:
        price = f"the model has gone far from the base (KL {_recent(curves.kls):.2g})"
    look = "look at its pictures" if finished else "stop the run here and look at its pictures"
    return Diagnosis(
        "hacking",
        "Reward hacking: the score is bought with variety" if less_varied else "Reward hacking: far from the base",
        f"The reward has risen by {curves.rise:.1f} standard deviations, but {price}, so it learns to please the "
        f"scorer rather than to draw better; {look}, or start a new one with a "
        "higher kl_weight or fewer epochs.",
    )


def _healthy(curves: _Curves, finished: bool) -> Diagnosis | None:
    if not curves.has_risen:
        return None
    settled = curves.count >= LONG_ENOUGH and not curves.still_rises
    if finished:
        advice = "compare the result with its base"
    else:
        advice = "it has settled, so you may stop here or let it finish" if settled else "let it go on"
    varied = f"{min(curves.diversity, 1.0):.0%} as varied as the base's"
    return Diagnosis(
        "healthy",
        "Healthy: the reward has risen and settled" if settled else "Healthy: the reward rises",
        f"The reward has risen by {curves.rise:.1f} of the base's standard deviations, and in the last epochs the "
        f"pictures are {varied}; "
        f"{advice}.",
    )


def _flat(curves: _Curves, anew: str, finished: bool) -> Diagnosis:
    if not any(curves.spreads) and not any(curves.rewards):
        return Diagnosis(
            "flat",
            "Nothing to learn: all pictures score the same",
            f"The reward gives every picture the same score, so nothing tells good from bad; {anew} with another "
            "reward.",
        )
    if curves.count < LONG_ENOUGH:
        return _waiting(curves.count, finished)
    more = "start a new run with more epochs," if finished else "give it more epochs, or start a new run with"
    return Diagnosis(
        "flat",
        "Flat: the reward does not rise",
        f"After {curves.count} epochs the reward has changed by {curves.rise:+.1f} standard deviations, no more than "
        f"chance would; {more} a higher learning_rate, more samples an epoch "
        "(batch_size, batches_per_epoch) or a lower kl_weight.",
    )


def _waiting(count: int, finished: bool) -> Diagnosis:
    done = f"{count} epoch{' is' if count == 1 else 's are'} done"
    advice = "start a new run with as many to see" if finished else "let it go on"
    return Diagnosis(
        "waiting",
        "Too early to tell",
        f"So far {done}; whether the reward rises shows after about {LONG_ENOUGH}, so {advice}.",
    )


def _not_finite(lines: Sequence[EpochMetrics]) -> str | None:
    names = {"reward_mean": "reward", "grad_norm": "gradient", "kl": "KL to the base", "diversity": "diversity"}
    return next(
        (text for line in lines for name, text in names.items() if not math.isfinite(getattr(line, name))), None
    )


def _series(epochs: Sequence[EpochMetrics], name: str) -> list[float]:
    """The finite values of a figure."""
    values = [getattr(epoch, name) for epoch in epochs]
    return [float(value) for value in values if math.isfinite(value)]


def _recent(values: list[float]) -> float:
    return fmean(values[-RECENT:]) if values else 0.0


def _before(values: list[float]) -> float:
    """The mean of the epochs before the recent ones, of the first where there are none."""
    return fmean(values[:-RECENT][-RECENT:] or values[:1])

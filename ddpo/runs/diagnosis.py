"""Tells a healthy run from a sick one, in words, by the figures of its epochs alone.

The limits were set on curves measured on church-64: healthy runs keep a KL of 1e-5 to 3e-3, gradient norms that vary up
to fivefold, and a standard deviation of the rewards that falls to a sixth while all pictures become good; so neither a
single large figure nor a small deviation alone is a sign of sickness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from ddpo.runs.curves import RECENT, Curves, before, recent, series
from ddpo.training.config import TrainConfig
from ddpo.training.events import EpochMetrics

Verdict = Literal["waiting", "healthy", "flat", "hacking", "collapse", "divergence"]

FIRST_LOOK = 4  # epochs before anything is said, but of figures that are not finite
LONG_ENOUGH = 8  # epochs after which a reward should have risen
RISE = 0.3  # standard deviations of the base's rewards, from which on a reward has risen
STILL_MOVING = (
    0.05  # standard deviations of the rewards, or share of the diversity, from three epochs to the next three
)
FALL = 0.75  # standard deviations below its best, from which on a reward has fallen
SHARE_LOST = 0.25  # of its rise, from which on it has fallen
CHANCE = 2.5  # standard deviations of what chance does, from which on a change is none of it; a run is looked at often
LESS_VARIED = 0.75  # share of the base's diversity
MUCH_LESS_VARIED = 0.6  # where it need not go on falling
ERODES = 0.008  # of the base's diversity an epoch, from which on it is being lost,
ERODED = 0.9  # once this is left
ALIKE = 0.4
FEW_MODES = 0.5  # effective number of different pictures, as a share of the base's
ALIKE_FOR_NOTHING = 0.6  # where the reward has not even risen
ONE_SCORE = 0.05  # of the base's standard deviation: all pictures score the same
LARGE_KL = 0.02  # mean over pixels and steps, of 20 steps at eta 1; six times the largest of a healthy run
EXPLODED_KL = 0.1
EXPLODED_GRADIENT = 20.0  # times the median of the epochs before


@dataclass(frozen=True)
class Diagnosis:
    """What a run looks like, for someone who knows nothing of the figures."""

    verdict: Verdict
    title: str
    sentence: str  # what is the matter and what to do


def diagnose(
    epochs: Sequence[EpochMetrics],
    base_std: float | None = None,
    finished: bool = False,
    config: TrainConfig | None = None,
) -> Diagnosis:
    """Judge a run.

    Args:
        epochs: its finished epochs, in order; NaN stands for numbers that are not finite.
        base_std: standard deviation of the base model's rewards; None: that of the first epoch.
        finished: no epochs are left, so that nothing is said of stopping it or letting it go on.
        config: of the run, for its groups, its noise and the settings to name; None: one of DDPO without groups.
    """
    anew = "start a new run" if finished else "stop the run and start a new one"
    if not_finite := _not_finite(epochs):
        return Diagnosis(
            "divergence",
            "Diverged",
            f"The {not_finite} is no longer a finite number, so the model is broken; {anew} with a lower "
            "learning_rate.",
        )
    if len(epochs) < FIRST_LOOK:
        return _waiting(len(epochs), finished)
    curves, hold = Curves(epochs, base_std, config), _hold(config)
    sickness = _divergence(curves, anew, hold) or _collapse(curves, anew, hold) or _hacking(curves, finished, hold)
    return sickness or _healthy(curves, finished) or _flat(curves, anew, finished, hold)


def _hold(config: TrainConfig | None) -> str:
    """The setting that holds a model near its base."""
    if config is None or config.algorithm not in ("draft", "rwr"):
        return "kl_weight"
    if config.algorithm == "draft":
        return "output_penalty"
    if config.kl_weight > 0:
        return "kl_weight"
    return "best_share" if config.rwr_weights == "best" else "temperature"


def _has_risen(curves: Curves) -> bool:
    return curves.rise >= max(RISE, CHANCE * curves.noise)


def _still_rises(curves: Curves) -> bool:
    return recent(curves.rewards) - before(curves.rewards) > STILL_MOVING


def _diversity_falls(curves: Curves) -> bool:
    return before(curves.diversities) - curves.diversity > STILL_MOVING


def _divergence(curves: Curves, anew: str, hold: str) -> Diagnosis | None:
    best, epoch = curves.best
    fall = best - curves.rise
    if fall > max(FALL, 4 * curves.noise, SHARE_LOST * best):
        reason = f"The reward has fallen {fall:.1f} standard deviations below its best, that of epoch {epoch}"
    elif -curves.rise > max(RISE, CHANCE * curves.noise):
        reason = f"The reward has fallen by {-curves.rise:.1f} standard deviations, more than chance would have it"
    elif len(curves.kls) >= RECENT and min(curves.kls[-RECENT:]) * curves.kl_scale > EXPLODED_KL:
        reason = f"The model has gone far from the base (KL {recent(curves.kls):.2g})"
    elif _gradient_explodes(curves.gradients):
        reason = f"The gradients have become more than {EXPLODED_GRADIENT:.0f} times as large as they were"
    else:
        return None
    return Diagnosis(
        "divergence",
        "Diverging: the training has become unstable",
        f"{reason}; {anew} with a third of the learning_rate, and a higher {hold} if that does not help.",
    )


def _gradient_explodes(gradients: list[float]) -> bool:
    earlier = gradients[:-RECENT]
    return len(earlier) >= RECENT and min(gradients[-RECENT:]) > EXPLODED_GRADIENT * median(earlier)


def _collapse(curves: Curves, anew: str, hold: str) -> Diagnosis | None:
    one_score = recent(curves.spreads) < ONE_SCORE and curves.is_below(LESS_VARIED) and _diversity_falls(curves)
    low, high = curves.modes
    if high < FEW_MODES:
        return Diagnosis(
            "collapse",
            "Collapsing: the pictures repeat each other",
            f"There are only {(low + high) / 2:.0%} as many different pictures as the base draws, though they are far "
            f"apart; {anew} with a higher {hold}, a lower learning_rate or fewer epochs.",
        )
    if not one_score and not curves.is_below(ALIKE if _has_risen(curves) else ALIKE_FOR_NOTHING):
        return None
    return Diagnosis(
        "collapse",
        "Collapsing: all pictures become alike",
        f"The pictures are only {curves.diversity:.0%} as varied as the base's; {anew} with a higher "
        f"{hold}, a lower learning_rate or fewer epochs.",
    )


def _hacking(curves: Curves, finished: bool, hold: str) -> Diagnosis | None:
    moves = _still_rises(curves) or _diversity_falls(curves)
    eroded = curves.erosion >= ERODES and curves.diversity < ERODED
    less_varied = curves.is_below(MUCH_LESS_VARIED) or (curves.is_below(LESS_VARIED) and moves) or eroded
    far = bool(curves.kls) and recent(curves.kls) * curves.kl_scale > LARGE_KL
    if not _has_risen(curves) or not (less_varied or far):
        return None
    price = f"the pictures are only {curves.diversity:.0%} as varied as the base's"
    if eroded:
        price += f" and lose {curves.erosion:.1%} with every epoch"
    elif not less_varied:
        price = f"the model has gone far from the base (KL {recent(curves.kls):.2g})"
    look = "look at its pictures" if finished else "stop the run here and look at its pictures"
    return Diagnosis(
        "hacking",
        "Reward hacking: the score is bought with variety" if less_varied else "Reward hacking: far from the base",
        f"The reward has risen by {curves.rise:.1f} standard deviations, but {price}, so it learns to please the "
        f"scorer rather than to draw better; {look}, or start a new one with a "
        f"higher {hold} or fewer epochs.",
    )


def _healthy(curves: Curves, finished: bool) -> Diagnosis | None:
    if not _has_risen(curves):
        return None
    settled = curves.count >= LONG_ENOUGH and not _still_rises(curves)
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


def _flat(curves: Curves, anew: str, finished: bool, hold: str) -> Diagnosis:
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
        f"(batch_size, batches_per_epoch) or a lower {hold}.",
    )


def _waiting(count: int, finished: bool) -> Diagnosis:
    done = f"{count} epoch{' is' if count == 1 else 's are'} done"
    advice = "start a new run with as many to see" if finished else "let it go on"
    return Diagnosis(
        "waiting",
        "Too early to tell",
        f"So far {done}; whether the reward rises shows after about {LONG_ENOUGH}, so {advice}.",
    )


def _not_finite(epochs: Sequence[EpochMetrics]) -> str | None:
    """What is no number in the last epoch; a KL that was never one was not measured."""
    names = {"reward_mean": "reward", "grad_norm": "gradient", "kl": "KL to the base", "diversity": "diversity"}
    if not series(epochs, "kl"):
        del names["kl"]
    return next(
        (text for line in epochs[-1:] for name, text in names.items() if not math.isfinite(getattr(line, name))), None
    )

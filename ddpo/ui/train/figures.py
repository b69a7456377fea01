"""The curves of a run that its charts show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ddpo import rewards
from ddpo.runs.store import Run
from ddpo.training import held_out_curve
from ddpo.training.config import GRADIENT_ALGORITHMS
from ddpo.training.events import EpochMetrics
from ddpo.ui.train.actions import Snapshot
from ddpo.ui.train.plots import Curve, thinned


def held_out(seen: Snapshot) -> Curve:
    """What the held-out seeds have gained; empty where the run looks at none."""
    looks = [look for look in seen.evaluations if math.isfinite(look.gain) and math.isfinite(look.gain_noise)]
    best = held_out_curve.best_of(looks, seen.run.spec.config)
    return Curve(
        "Gain on held-out seeds, standard deviations of the base",
        [look.epoch for look in looks],
        [look.gain for look in looks],
        lambda value: f"{value:+.2f}",
        band=[(look.gain - 2 * look.gain_noise, look.gain + 2 * look.gain_noise) for look in looks],
        reference=0.0,
        note=f" · shaded: two standard errors · best: epoch {best.epoch}" if best else "",
    )


def curves(epochs: Sequence[EpochMetrics], run: Run) -> list[Curve]:
    """The figures of the epochs, the reward first."""
    spec, epochs = rewards.find(run.spec.reward), thinned(epochs)
    decimals, unit = (spec.decimals, spec.unit) if spec else (2, "")
    about = " · shaded: the middle 80%"

    def curve(title: str, name: str, show: Callable[[float], str], **more: Any) -> Curve:
        seen = [epoch for epoch in epochs if math.isfinite(getattr(epoch, name))]
        return Curve(title, [epoch.epoch for epoch in seen], [getattr(epoch, name) for epoch in seen], show, **more)

    def score(value: float) -> str:
        return f"{value:.{decimals}f}" + (f" {unit}" if unit else "")

    band = [_band(epoch) for epoch in epochs if math.isfinite(epoch.reward_mean)]
    weight = []
    if any(epoch.reward_weight != 1 for epoch in epochs):
        weight = [curve("Weight of the reward", "reward_weight", _percent, floor=0.0, reference=1.0, ceiling=1.0)]
    if run.spec.config.algorithm in GRADIENT_ALGORITHMS:  # it has no policy
        far = [curve("Change of the network's output", "output_change", _short, floor=0.0)]
    else:
        clipped = curve("Clip fraction", "clip_fraction", _percent, floor=0.0, ceiling=1.0)
        far = [curve("KL to the base", "kl", _short, floor=0.0), clipped]
    return [
        curve("Reward, mean", "reward_mean", score, band=band, note=about),
        *far,
        curve("Gradient norm", "grad_norm", _short, floor=0.0),
        curve("Diversity kept", "diversity", _percent, floor=0.0, reference=1.0, ceiling=1.0),
        curve("Different pictures kept", "modes", _percent, floor=0.0, reference=1.0, ceiling=1.0),
        curve("The base's pictures reached", "recall", _percent, floor=0.0, ceiling=1.0),
        *weight,
        curve("Pictures a second", "samples_per_second", _short, floor=0.0),
    ]


def _band(epoch: EpochMetrics) -> tuple[float, float]:
    low, _, high = epoch.reward_quantiles
    mean = epoch.reward_mean
    return (low if math.isfinite(low) else mean, high if math.isfinite(high) else mean)


def _short(value: float) -> str:
    return f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value:.1%}"

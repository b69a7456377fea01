"""The figures of a run as curves, with what chance alone does to them. For `diagnosis`, which judges them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from ddpo.training.config import TrainConfig
from ddpo.training.events import EpochMetrics

RECENT = 3  # epochs that are averaged to see through the noise
TREND = 20  # epochs, at the most, that a line is put through
FEWEST_OF_A_TREND = 8
# The standard deviation of the diversity of n pictures, as a share of it, times sqrt(n): measured on drawn churches
# (tests/runs/test_false_alarms.py measures it again).
DIVERSITY_NOISE = 0.26
CALIBRATED_STEPS = 20  # of a trajectory, at eta 1: where the limits of the KL were measured


class Curves:
    """The figures of a run, rewards in standard deviations of the base's, counted from the first epoch's mean.

    Args:
        epochs: finished ones, in order; NaN stands for numbers that are not finite or were not measured.
        base_std: standard deviation of the base's rewards; None: that of the first epoch.
        config: of the run; None: one without groups, of `CALIBRATED_STEPS` at eta 1.
    """

    def __init__(self, epochs: Sequence[EpochMetrics], base_std: float | None, config: TrainConfig | None) -> None:
        first_std = series(epochs, "reward_std")[:1]
        unit = base_std or (first_std[0] if first_std else 0.0) or 1.0
        means = series(epochs, "reward_mean")
        self.rewards = [(mean - means[0]) / unit for mean in means]
        self.spreads = [std / unit for std in series(epochs, "reward_std")]
        self.diversities = series(epochs, "diversity") or [1.0]
        counted = [(epoch.modes, epoch.modes_noise) for epoch in epochs]
        self.counted = [pair for pair in counted if all(map(math.isfinite, pair))]
        self.kls, self.gradients = series(epochs, "kl"), series(epochs, "grad_norm")
        # What a KL of this run would be with the calibrated steps: that of a step goes with 1 / (eta^2 S), as the
        # variance of its noise does, for the same change of the network.
        eta = 1.0 if config is None or config.algorithm == "rwr" else config.eta  # see `Losses._regression`
        self.kl_scale = eta**2 * config.sampling_steps / CALIBRATED_STEPS if config else 1.0
        # The members of a group share most of their way, so that at worst they count as one.
        samples = max(series(epochs, "samples")[:1] or [64.0]) / (config.group_size if config else 1)
        self.independent = max(samples, 1.0)

    @property
    def noise(self) -> float:
        """Standard deviation of `rise`, where nothing is learned; the unit has some too, from the same samples."""
        unit = 1 + 1 / math.sqrt(self.independent)
        return unit * math.sqrt((1 + 1 / RECENT) / self.independent)

    @property
    def diversity_noise(self) -> float:
        """Of `diversity`, where nothing is learned."""
        return DIVERSITY_NOISE * math.sqrt((1 + 1 / RECENT) / self.independent)

    @property
    def count(self) -> int:
        """Epochs."""
        return len(self.rewards)

    @property
    def rise(self) -> float:
        """Of the reward, from the first epoch to the recent ones."""
        return recent(self.rewards)

    @property
    def best(self) -> tuple[float, int]:
        """The best reward seen through the noise, and its epoch."""
        windows = [(fmean(self.rewards[end - RECENT : end]), end) for end in range(RECENT, self.count + 1)]
        return max([(0.0, 1), *windows])

    @property
    def diversity(self) -> float:
        """Of the recent epochs, as a share of the first one's."""
        return recent(self.diversities)

    def is_below(self, limit: float) -> bool:
        """Whether the diversity is below a limit, and further below the base's than chance brings it."""
        return self.diversity < min(limit, 1 - 3 * self.diversity_noise)

    @property
    def modes(self) -> tuple[float, float]:
        """Different pictures, as a share of the first epoch's, at the least and at the most that chance allows."""
        if len(self.counted) < RECENT:
            return 1.0, 1.0
        share, noise = (fmean(values) for values in zip(*self.counted[-RECENT:], strict=True))
        return share - 3 * noise, share + 3 * noise

    @property
    def erosion(self) -> float:
        """Diversity that is lost an epoch, by a line through the last ones; 0 where it may be chance."""
        values = self.diversities[-TREND:]
        if len(values) < FEWEST_OF_A_TREND:
            return 0.0
        middle, mean = (len(values) - 1) / 2, fmean(values)
        squares = sum((place - middle) ** 2 for place in range(len(values)))
        slope = sum((place - middle) * (value - mean) for place, value in enumerate(values)) / squares
        error = DIVERSITY_NOISE / math.sqrt(self.independent * squares)
        return -slope if slope < -3 * error else 0.0


def series(epochs: Sequence[EpochMetrics], name: str) -> list[float]:
    """The finite values of a figure."""
    values = [getattr(epoch, name) for epoch in epochs]
    return [float(value) for value in values if math.isfinite(value)]


def recent(values: list[float]) -> float:
    """The mean of the last epochs."""
    return fmean(values[-RECENT:]) if values else 0.0


def before(values: list[float]) -> float:
    """The mean of the epochs before the recent ones, of the first where there are none."""
    return fmean(values[:-RECENT][-RECENT:] or values[:1])

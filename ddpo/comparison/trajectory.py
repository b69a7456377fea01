"""The score along the way: what both models see in the same noise, scored every few steps.

It shows at which noise the finetuning acts. Nothing is scored but the moments that are shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddpo import rewards
from ddpo.common import company
from ddpo.comparison.compare import denoise_both, load_pair, scores_of
from ddpo.comparison.events import Progress
from ddpo.comparison.loading import import_engine, load_scorer
from ddpo.comparison.settings import Comparison

if TYPE_CHECKING:
    from ddpo.diffusion.sampling import DenoisingState

MOMENTS = 20  # that are scored and kept, at most
MOST_SEEDS = 8
MOST_PIXELS = 8_000_000  # of all pictures that are kept, 24 MB: 3 seeds of 256 x 256 pixels


@dataclass(frozen=True)
class Moment:
    """What both models see after a step."""

    step: int  # evaluations of the network, 1 .. total
    noise: float  # share of noise in what they looked at, in [0, 1]
    pictures: np.ndarray  # (2, N, H, W, 3) uint8: the base's, then the finetuned model's
    scores: np.ndarray  # (2, N) float64


@dataclass(frozen=True)
class Trajectory:
    """Two models on their way from the same noise to pictures."""

    comparison: Comparison  # of the seeds that were followed alone
    total: int  # evaluations of the network
    moments: tuple[Moment, ...]  # the last one has the finished pictures

    @property
    def seeds(self) -> list[int]:
        """One for each picture of a moment."""
        return self.comparison.seeds

    @property
    def gains(self) -> list[float]:
        """The mean gain at each moment."""
        return [float(np.subtract(moment.scores[1], moment.scores[0]).mean()) for moment in self.moments]

    @property
    def halfway(self) -> Moment | None:
        """The moment from which on at least half of the final gain is there; None where nothing was gained."""
        gains = self.gains
        if gains[-1] <= 0:
            return None
        place = len(gains) - 1
        while place > 0 and gains[place - 1] >= gains[-1] / 2:
            place -= 1
        return self.moments[place]


def followed(comparison: Comparison, side: int) -> Comparison:
    """The comparison of as many of its seeds as can be followed.

    Args:
        comparison: of any number of seeds.
        side: of a picture, in pixels.
    """
    room = MOST_PIXELS // (2 * MOMENTS * side**2)
    return replace(comparison, samples=max(1, min(comparison.samples, MOST_SEEDS, room)))


def scored_steps(total: int) -> list[int]:
    """The steps that are scored, of 1 .. total: evenly, the last one included."""
    count = min(total, MOMENTS)
    return sorted({round((place + 1) * total / count) for place in range(count)})


def follow(comparison: Comparison, most: float | None = None) -> Iterator[Progress | Trajectory]:
    """Denoise with both models: many `Progress`, then the `Trajectory`. Closing the iterator stops between two steps.

    Args:
        comparison: of which at most MOST_SEEDS seeds are followed.
        most: that it may cost, in the unit of `Comparison.pixel_steps`; None: no limit.

    Raises:
        UserError: a model or the scorer cannot be had, or it costs too much.
    """
    yield Progress("Loading the models", 0, 0)
    import_engine()
    with company.computing():
        yield from _follow(comparison, most)


def _follow(comparison: Comparison, most: float | None) -> Iterator[Progress | Trajectory]:
    from ddpo.diffusion.precision import choose_compute

    compute = choose_compute(comparison.precision)
    base, tuned = yield from load_pair(comparison, compute)
    side = max(base.picture_shape[1:])
    comparison = followed(comparison, side)
    comparison.check_cost(side, most)
    reward = yield from load_scorer(comparison.scorer, compute)
    moments: list[Moment] = []
    started, steps = time.perf_counter(), None
    for states in denoise_both(base, tuned, comparison, compute):
        step, total = states[0].step, states[0].total
        steps = steps or scored_steps(total)
        if step in steps:
            moments.append(_moment(states, reward))
        left = (time.perf_counter() - started) / step * (total - step)
        yield Progress("Denoising together", 2 * step, 2 * total, left)
    yield Trajectory(comparison, total, tuple(moments))


def _moment(states: tuple[DenoisingState, DenoisingState], reward: rewards.Reward) -> Moment:
    from ddpo.diffusion.pictures import to_uint8

    is_last = states[0].step == states[0].total
    seen = [state.x_t if is_last else state.x_0 for state in states]
    return Moment(
        states[0].step,
        states[0].noise,
        np.stack([to_uint8(x) for x in seen]),
        np.array([scores_of(x, reward) for x in seen]),
    )

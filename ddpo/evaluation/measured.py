"""What `measures` finds, as data: read by verdicts, reports and the page, none of which needs torch for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

FEWEST = 16  # pictures, below which nothing is measured: two for each fold of `training.modes`
SHARES = ("modes", "diversity", "recall", "precision", "nearest")  # fields of `Measures`


@dataclass(frozen=True)
class Share:
    """A figure as a share of the base's, and its standard error. NaN: it cannot be said."""

    value: float = math.nan
    noise: float = math.nan

    def is_below(self, bound: float) -> bool:
        """Whether it lies below by two standard errors, so that chance does not explain it."""
        return self.value + 2 * self.noise < bound


@dataclass(frozen=True)
class PairedDistance:
    """A squared distance, around 0 and at times below where both are of one kind."""

    value: float
    standard_error: float
    p_value: float  # of the test that both models draw alike, in (0, 1]


@dataclass(frozen=True)
class ReferenceDistance:
    """A squared distance to a pair's reference pictures, around 0 and at times below where both are of one kind."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class Measures:
    """Figures of a model's pictures against the base's of the same seeds; see the head of `measures`."""

    count: int  # pictures of each
    modes: Share
    diversity: Share
    recall: Share
    precision: Share
    nearest: Share
    distance: PairedDistance
    sliders: float  # in [0, 1]; NaN where nothing has changed


def from_dict(kept: dict[str, Any]) -> Measures:
    """The measures that `dataclasses.asdict` made a dictionary of and JSON kept, where what is no number is null."""
    shares = {name: Share(*map(_number, kept[name].values())) for name in SHARES}
    return Measures(
        count=kept["count"],
        **shares,
        distance=PairedDistance(**kept["distance"]),
        sliders=_number(kept["sliders"]),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value

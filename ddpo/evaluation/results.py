"""What an evaluation has found so far: cells with their scores, and the statistics over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ddpo.evaluation.measured import Measures, ReferenceDistance
from ddpo.evaluation.plan import Cell, Evaluation, Model, Point
from ddpo.evaluation.statistics import Gain, corrected, mean_interval, paired_gain
from ddpo.evaluation.verdict import Verdict, judge

Pictures = Callable[
    [Cell], np.ndarray
]  # the pictures of a finished cell, (N, H, W, 3) uint8, in the order of the seeds
MARGIN = 0.2  # standard deviations of the best point's scores; a small difference in Cohen's (1988) words


@dataclass(frozen=True)
class CellResult:
    """One finished cell."""

    cell: Cell
    key: str  # of its pictures in the store
    scores: Mapping[str, tuple[float, ...]]  # by name of the scorer, in the order of the seeds
    seconds: float  # for a picture
    evaluations: int  # of the network, for a picture
    from_cache: bool  # whether nothing had to be drawn
    measures: Measures | None = None  # against the base's pictures; None for the base, and for too few seeds
    reference: ReferenceDistance | None = None  # None without a reference, and for too few seeds

    def mean(self, scorer: str) -> float:
        """The mean score."""
        return float(np.mean(self.scores[scorer]))


@dataclass(frozen=True)
class AgainstBase:
    """A model against the base, drawn in one way."""

    cell: CellResult
    base: CellResult
    gains: Mapping[str, Gain]  # by name of the scorer, corrected for all comparisons of the evaluation
    verdict: Verdict


class Results:
    """The cells that are finished, and what they say together.

    Args:
        evaluation: what was asked for.
        cells: those that are finished, in any order.
    """

    def __init__(self, evaluation: Evaluation, cells: Sequence[CellResult]) -> None:
        self.evaluation = evaluation
        self.by_cell = {result.cell: result for result in cells}

    @property
    def cells(self) -> list[CellResult]:
        """In the order of the evaluation."""
        return [self.by_cell[cell] for cell in self.evaluation.cells if cell in self.by_cell]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.by_cell) == len(self.evaluation.cells)

    @cached_property
    def comparisons(self) -> list[AgainstBase]:
        """Every model with the base in the same scheduler and steps, where both are finished.

        Of each scorer, the p-values of all of them are corrected together (Holm 1979).
        """
        pairs = [
            (result, self.by_cell[beside])
            for result in self.cells
            if result.cell.model != self.evaluation.base
            and (beside := Cell(self.evaluation.base, result.cell.point)) in self.by_cell
        ]
        names = [spec.name for spec in self.evaluation.scorers]
        gains = {
            name: corrected([paired_gain(base.scores[name], result.scores[name]) for result, base in pairs])
            for name in names
        }
        found = []
        for place, (result, base) in enumerate(pairs):
            own = {name: gains[name][place] for name in names}
            verdict = judge(own, self.evaluation.target.name, result.measures)
            found.append(AgainstBase(result, base, own, verdict))
        return found

    def as_good(self, model: Model) -> tuple[Point, Point] | None:
        """The point at which a model scores highest, and the cheapest one that is not worse by more than `MARGIN`.

        Not worse means: the 95% interval of the difference, paired by seed, ends above -MARGIN standard deviations.

        Returns:
            (best, cheapest as good), by evaluations of the network; they may be the same. None below two points.
        """
        target = self.evaluation.target.name
        cells = [result for result in self.cells if result.cell.model == model]
        if len(cells) < 2:
            return None
        best = max(cells, key=lambda result: result.mean(target))
        allowed = -MARGIN * float(np.std(best.scores[target], ddof=1))
        for result in sorted(cells, key=lambda result: result.evaluations):
            interval = paired_gain(best.scores[target], result.scores[target]).interval
            if result is best or (interval is not None and interval[0] > allowed):
                return best.cell.point, result.cell.point
        raise AssertionError("the best is as good as itself")


def interval_of(result: CellResult, scorer: str) -> tuple[float, float] | None:
    """The 95% interval of a cell's mean score; None for one seed."""
    return mean_interval(result.scores[scorer])


def gain_by_seed(comparison: AgainstBase, scorer: str, seeds: Sequence[int]) -> list[tuple[int, float]]:
    """Seeds with their gains, the highest gain first."""
    gains = np.subtract(comparison.cell.scores[scorer], comparison.base.scores[scorer])
    return sorted(zip(seeds, map(float, gains), strict=True), key=lambda entry: (-entry[1], entry[0]))

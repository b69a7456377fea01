"""The results that pages show, without their pictures: found again when a seed is chosen, or by a link."""

from __future__ import annotations

from ddpo.evaluation.plan import Evaluation
from ddpo.evaluation.results import Results
from ddpo.ui.shared.shelf import Shelf

MOST_SCORES = 2_000_000  # of all results that are kept, about 70 MB


def scores(found: Results) -> int:
    """How many there are, of all cells and scorers together."""
    return sum(len(cell.scores) for cell in found.cells) * len(found.evaluation.seeds)


results: Shelf[Results] = Shelf(MOST_SCORES, scores, lambda found: [model.source for model in found.evaluation.models])


def find_same(evaluation: Evaluation) -> str | None:
    """Key of the latest whole results of the same evaluation, None as for `Shelf.latest`."""
    return results.latest(lambda found: found.evaluation == evaluation and found.is_complete)

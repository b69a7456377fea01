"""The comparisons that pages show, and the trajectories that they were followed along."""

from __future__ import annotations

from dataclasses import replace

from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.settings import Comparison
from ddpo.comparison.trajectory import Trajectory
from ddpo.ui.shared.shelf import Shelf

MOST_PIXELS = 16_000_000  # of all pictures that are kept, 64 MB: 122 comparisons of 32 pictures of church-64
MOST_TRAJECTORIES = 4  # of 24 MB at most


def pixels(result: ComparisonResult) -> int:
    """Of all its pictures together."""
    return sum(image.width * image.height for image in (*result.base_images, *result.tuned_images))


comparisons: Shelf[ComparisonResult] = Shelf(
    MOST_PIXELS, pixels, lambda result: (result.comparison.base, result.comparison.tuned)
)
trajectories: Shelf[Trajectory] = Shelf(MOST_TRAJECTORIES, lambda _: 1)


def find_same(comparison: Comparison) -> str | None:
    """Key of the latest result of the same comparison, None where there is none or a model has been written since."""
    return comparisons.latest(lambda result: result.comparison == comparison)


def find_drawn(comparison: Comparison) -> str | None:
    """Key of the latest result of the same pictures, by another scorer; None as for `find_same`."""

    def has_its_pictures(result: ComparisonResult) -> bool:
        is_another = result.comparison.scorer.name != comparison.scorer.name
        return is_another and replace(result.comparison, scorer=comparison.scorer) == comparison

    return comparisons.latest(has_its_pictures)

"""The score along the way, as the page runs it: in the one place for comparisons, on a borrowed GPU if need be."""

from __future__ import annotations

from collections.abc import Iterator

from ddpo.common import allocator, lent_gpu
from ddpo.common.machine import on_zero_gpu
from ddpo.comparison import trajectory
from ddpo.comparison.events import Progress
from ddpo.comparison.loading import download_models, download_scorer
from ddpo.comparison.settings import Comparison
from ddpo.comparison.trajectory import MOMENTS, Trajectory
from ddpo.diffusion.network import read_network
from ddpo.runs.estimate import gpu_seconds
from ddpo.ui.shared import places
from ddpo.ui.shared.beats import in_beats, waiting_to_compare
from ddpo.ui.space import zero_gpu


def follow(comparison: Comparison, most: float | None = None) -> Iterator[Progress | Trajectory]:
    """The events of `trajectory.follow`, one a HEARTBEAT. Closing the iterator stops between two steps.

    Args:
        comparison: what is followed.
        most: that it may cost, see `permission.most_pixel_steps`.

    Raises:
        UserError: as `trajectory.follow` does.
    """
    trajectory.followed(comparison, 1).check_cost(1, most)
    yield from waiting_to_compare()
    try:
        if on_zero_gpu():
            yield from download_models(comparison.base, comparison.tuned)
            yield from download_scorer(comparison.scorer)
        yield from _beats(comparison, most)
    finally:
        allocator.give_back()
        places.COMPARING.give_back()


def lent_seconds(comparison: Comparison) -> float:
    """How long it keeps a lent GPU busy, in seconds.

    Raises:
        UserError: a model is not there.
    """
    networks = [read_network(source) for source in (comparison.base, comparison.tuned)]
    samples = trajectory.followed(comparison, networks[0].sample_size).samples
    evaluations = comparison.steps * comparison.scheduler.evaluations
    drawing = sum(gpu_seconds(network, evaluations, samples) for network in networks)
    scoring = MOMENTS * sum(samples * network.sample_size**2 for network in networks) / lent_gpu.PIXELS_SCORED
    return drawing + scoring + zero_gpu.loading_seconds((comparison.base, comparison.tuned), comparison.scorer.name)


@zero_gpu.lent(lambda comparison, most: lent_seconds(comparison))
def _beats(comparison: Comparison, most: float | None) -> Iterator[Progress | Trajectory]:
    yield from in_beats(trajectory.follow(comparison, most))

"""Comparisons as the page and the endpoints run them: checked, followed, and on a borrowed GPU where there is one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from ddpo.common import allocator, lent_gpu
from ddpo.common.machine import on_zero_gpu
from ddpo.common.words import is_finite
from ddpo.comparison.compare import compare
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.loading import download
from ddpo.comparison.settings import ComparisonSettings, resolve
from ddpo.diffusion.network import read_network
from ddpo.hub import ids
from ddpo.runs.estimate import gpu_seconds
from ddpo.ui.shared import places
from ddpo.ui.shared.beats import in_beats, waiting_to_compare
from ddpo.ui.space import permission, zero_gpu
from ddpo.ui.space.asker import Asker

logger = logging.getLogger("ddpo.ui")


def make_settings(asker: Asker, **values: Any) -> ComparisonSettings:
    """Settings from what came over the network: None and "" are the defaults, whole floats are whole numbers.

    Args:
        asker: who asks for it.
        **values: fields of ComparisonSettings.

    Raises:
        UserError: a value is not acceptable, or a model is a folder that this asker may not name.
    """
    for source in (values.get("base"), values.get("tuned")):
        if isinstance(source, str) and source:
            permission.check_source(source, asker)
    given = {name: _whole(value) for name, value in values.items() if value is not None and value != ""}
    return ComparisonSettings(**given)


def _whole(value: Any) -> Any:
    """4.0 is 4, as numbers that went through JavaScript may be floats; anything else stays what it is."""
    return int(value) if isinstance(value, float) and is_finite(value) and value == int(value) else value


def follow(settings: ComparisonSettings, most: float | None = None) -> Iterator[Progress | ComparisonResult]:
    """The events of a comparison in the one place for it, thinned out to one a HEARTBEAT, with the run in the log.

    Closing the iterator stops the computation between two steps, or the waiting for the place.

    Args:
        settings: what is compared.
        most: that it may cost, see `permission.most_pixel_steps`.

    Raises:
        UserError: as `compare` does, or it costs more.
    """
    _check_cost(settings, most)
    yield from waiting_to_compare()
    try:
        yield from _follow(settings, most)
    finally:
        places.COMPARING.give_back()


def _check_cost(settings: ComparisonSettings, most: float | None) -> None:
    """Before it waits or downloads anything, as far as the size of the pictures is known."""
    if most is None:
        return
    comparison = resolve(settings)
    comparison.check_cost(1, most)
    for source in (comparison.base, comparison.tuned):
        if ids.is_folder(source):
            comparison.check_cost(read_network(source).sample_size, most)


def _follow(settings: ComparisonSettings, most: float | None) -> Iterator[Progress | ComparisonResult]:
    progress = Progress("Waiting for a GPU", 0, 0)
    logger.info("Comparison started: %s, %s, %d samples", settings.pair, settings.scheduler, settings.samples)
    if on_zero_gpu():
        yield progress
        yield from download(settings)  # before a GPU is borrowed, which is for computing
    with closing(_beats(settings, most)) as events:  # type: ignore[type-var]
        try:
            for event in events:
                if isinstance(event, ComparisonResult):
                    logger.info("Comparison finished in %.1f s", event.seconds)
                else:
                    progress = event
                yield event
        except GeneratorExit:
            logger.info("Comparison cancelled at evaluation %d of %d", progress.step, progress.total)
            raise
        finally:
            allocator.give_back()


def comparison_seconds(settings: ComparisonSettings) -> float:
    """How long a comparison keeps a lent GPU busy, in seconds.

    Raises:
        UserError: a model is not there, or the number of steps is not one for the scheduler.
    """
    comparison = resolve(settings)
    evaluations = comparison.steps * comparison.scheduler.evaluations
    sources = (comparison.base, comparison.tuned)
    networks = [read_network(source) for source in sources]
    drawing = sum(gpu_seconds(network, evaluations, comparison.samples) for network in networks)
    scoring = sum(comparison.samples * network.sample_size**2 for network in networks) / lent_gpu.PIXELS_SCORED
    return drawing + scoring + zero_gpu.loading_seconds(sources, comparison.scorer.name)


@zero_gpu.lent(lambda settings, most: comparison_seconds(settings))
def _beats(settings: ComparisonSettings, most: float | None) -> Iterator[Progress | ComparisonResult]:
    """The events of a comparison, one a HEARTBEAT."""
    yield from in_beats(compare(settings, most))

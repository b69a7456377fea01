"""Other scorers for pictures that are kept, in the one place for comparisons and on a borrowed GPU if need be."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing

from ddpo import rewards
from ddpo.common import allocator, lent_gpu
from ddpo.common.machine import on_zero_gpu
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.loading import download_scorer
from ddpo.comparison.rescore import rescore, with_scores
from ddpo.comparison.settings import ComparisonSettings, resolve
from ddpo.ui.compare import kept
from ddpo.ui.shared import places
from ddpo.ui.shared.beats import waiting_to_compare
from ddpo.ui.shared.one_thread import in_one_thread
from ddpo.ui.space import zero_gpu

logger = logging.getLogger("ddpo.ui")

MOST_KEPT = 256  # pairs of lists of scores, of 16 seeds each

_scores: OrderedDict[tuple[str, str], tuple[list[float], list[float]]] = OrderedDict()
_lock = threading.Lock()


def drawn(settings: ComparisonSettings) -> ComparisonResult | None:
    """A comparison that was drawn here, of the same pictures by another scorer; None where there is none.

    Raises:
        UserError: a run that is named has gone meanwhile.
    """
    return kept.comparisons.find(kept.find_drawn(resolve(settings)))


def follow(result: ComparisonResult, scorer: str) -> Iterator[Progress | ComparisonResult]:
    """The events of `rescore`. Closing the iterator stops between a few pictures, or the waiting for the place.

    Raises:
        UserError: as `rescore` does.
    """
    spec = rewards.get(scorer)
    yield from waiting_to_compare()
    try:
        if on_zero_gpu():
            yield from download_scorer(spec)
        logger.info("Scoring %d pictures again by %s", 2 * len(result.seeds), spec.name)
        yield from _beats(result, spec.name)
    finally:
        allocator.give_back()
        places.COMPARING.give_back()


def by_all(key: str, result: ComparisonResult, scorers: Sequence[str]) -> Iterator[Progress | ComparisonResult]:
    """The same pictures by several scorers: a result each, those that were scored before at once.

    Args:
        key: of the result.
        result: of a comparison.
        scorers: their names.

    Raises:
        UserError: as `rescore` does.
    """
    _remember(key, result)
    for name in scorers:
        spec = rewards.get(name)
        with _lock:
            there = _scores.get((key, spec.name))
        if there is not None:
            yield with_scores(result, spec, *there)
            continue
        for event in follow(result, spec.name):
            if isinstance(event, ComparisonResult):
                _remember(key, event)
            yield event


def _remember(key: str, result: ComparisonResult) -> None:
    with _lock:
        _scores[key, result.comparison.scorer.name] = result.base_scores, result.tuned_scores
        while len(_scores) > MOST_KEPT:
            _scores.popitem(last=False)


def lent_seconds(result: ComparisonResult, scorer: str) -> float:
    """How long it keeps a lent GPU busy, in seconds."""
    pixels = sum(image.width * image.height for image in (*result.base_images, *result.tuned_images))
    return pixels / lent_gpu.PIXELS_SCORED + zero_gpu.loading_seconds((), scorer)


@zero_gpu.lent(lambda result, scorer: lent_seconds(result, scorer))
def _beats(result: ComparisonResult, scorer: str) -> Iterator[Progress | ComparisonResult]:
    with closing(in_one_thread(rescore(result, scorer))) as events:
        yield from events

"""Evaluations as the page and the endpoint run them: checked, in turns with comparisons, on a borrowed GPU if need be.

They are run one scheduler and number of steps at a time. Whoever waits to compare has a turn in between, and on ZeroGPU
each is a call of its own.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ddpo.common import allocator, lent_gpu
from ddpo.common.machine import on_zero_gpu
from ddpo.comparison.events import Progress
from ddpo.comparison.loading import download_models, download_scorer
from ddpo.diffusion.network import read_network
from ddpo.evaluation.evaluate import BATCH_ON_GPU, CellDone, evaluate
from ddpo.evaluation.plan import Evaluation, Point
from ddpo.evaluation.results import CellResult, Results
from ddpo.evaluation.store import CellStore
from ddpo.hub import ids
from ddpo.runs.estimate import drawing_seconds, gpu_seconds
from ddpo.ui.evaluate import storage
from ddpo.ui.shared import places
from ddpo.ui.shared.beats import HEARTBEAT, in_beats
from ddpo.ui.space import zero_gpu

logger = logging.getLogger("ddpo.ui")

PAUSE = 0.1  # seconds without a place, in which a comparison that waits takes it
MEASURE_SECONDS = 4.0  # assumed, for the measures of a cell on a processor


class Seldom:
    """Keeps what is done after every cell, and takes longer with each, from taking more than a tenth of the time."""

    def __init__(self) -> None:
        self._due = 0.0

    def is_due(self) -> bool:
        """Whether it may be done again."""
        return time.monotonic() >= self._due

    @contextmanager
    def doing(self) -> Iterator[None]:
        """While it is done."""
        started = time.monotonic()
        yield
        ended = time.monotonic()
        self._due = ended + 9 * (ended - started)


def follow(evaluation: Evaluation, most: float | None = None) -> Iterator[Progress | CellDone]:
    """The events of an evaluation, thinned out to one a HEARTBEAT, with its beginning and end in the log.

    Closing the iterator stops the computation between two steps, or the waiting for the place. What is finished is
    kept, so the same evaluation goes on from there.

    Args:
        evaluation: what is evaluated.
        most: that it may cost, see `permission.most_pixel_steps`.

    Raises:
        UserError: as `evaluate` does, or it costs more.
    """
    _check_cost(evaluation, most)
    store, finished = storage.store(), Results(evaluation, [])
    logger.info("Evaluation started: %d cells of %d seeds", len(evaluation.cells), len(evaluation.seeds))
    try:
        if on_zero_gpu():
            yield from _download(evaluation)  # before a GPU is borrowed, which is for computing
        for point in evaluation.points:
            while not places.COMPARING.take(HEARTBEAT):
                yield Progress("Waiting for a comparison", 0, 0)
            try:
                storage.tidy(store.root, finished)
                for event in _at(evaluation, store, point, most, finished):
                    if isinstance(event, CellDone):
                        finished = event.results
                    yield event
                storage.touch(store.root, finished)
            finally:
                allocator.give_back()
                places.COMPARING.give_back()
            time.sleep(PAUSE)
    except GeneratorExit:
        logger.info("Evaluation cancelled after %d of %d cells", len(finished.cells), len(evaluation.cells))
        raise
    logger.info("Evaluation finished: %d cells", len(finished.cells))


def _check_cost(evaluation: Evaluation, most: float | None) -> None:
    """Before it waits or downloads anything, as far as the size of the pictures is known."""
    evaluation.check_cost(1, most)
    for model in evaluation.models:
        if ids.is_folder(model.source):
            evaluation.check_cost(read_network(model.source).sample_size, most)


def _download(evaluation: Evaluation) -> Iterator[Progress]:
    yield Progress("Waiting for a GPU", 0, 0)
    yield from download_models(*(model.source for model in evaluation.models))
    for spec in evaluation.scorers:
        if spec.obstacle() is None:
            yield from download_scorer(spec)


def _at(
    evaluation: Evaluation, store: CellStore, point: Point, most: float | None, finished: Results
) -> Iterator[Progress | CellDone]:
    """The events of one scheduler and number of steps, told as those of the whole evaluation."""
    cells: list[CellResult] = finished.cells
    before = sum(cell.cell.point.evaluations for cell in cells) * len(evaluation.seeds)
    with closing(events_at(evaluation, store.root, point, most)) as events:  # type: ignore[type-var]
        for event in events:
            if isinstance(event, CellDone):
                cells = [*cells, event.cell]
                yield CellDone(event.cell, Results(evaluation, cells))
            else:
                yield _of_all(event, evaluation.evaluations, before)


def _of_all(progress: Progress, total: int, before: int) -> Progress:
    """Progress of a part as that of the whole; the time that is left grows with what is left."""
    if not progress.total:
        return Progress(progress.stage, before, total if before else 0)
    left, step = progress.total - progress.step, before + progress.step
    seconds = None if progress.seconds_left is None or left <= 0 else progress.seconds_left / left * (total - step)
    return Progress(progress.stage, step, total, seconds)


def seconds_here(evaluation: Evaluation) -> float | None:
    """How long drawing takes on this machine's processor, in seconds; None where it has a GPU of its own.

    Raises:
        UserError: a model is not there.
    """
    each = evaluation.evaluations // len(evaluation.models)
    seconds = [drawing_seconds(read_network(model.source), each) for model in evaluation.models]
    return None if None in seconds else sum(found for found in seconds if found is not None)


def lent_seconds(evaluation: Evaluation, point: Point) -> float:
    """How long one scheduler and number of steps keeps a lent GPU busy, in seconds.

    Raises:
        UserError: a model is not there.
    """
    networks = [read_network(model.source) for model in evaluation.models]
    batches, batch = math.ceil(len(evaluation.seeds) / BATCH_ON_GPU), min(len(evaluation.seeds), BATCH_ON_GPU)
    drawing = sum(gpu_seconds(network, batches * point.evaluations, batch) for network in networks)
    pixels = len(evaluation.seeds) * sum(network.sample_size**2 for network in networks)
    scoring = len(evaluation.scorers) * pixels / lent_gpu.PIXELS_SCORED
    loading = zero_gpu.loading_seconds(model.source for model in evaluation.models)
    loading += sum(zero_gpu.loading_seconds((), spec.name) for spec in evaluation.scorers)
    return drawing + scoring + loading + MEASURE_SECONDS * (len(networks) - 1)


@zero_gpu.lent(lambda evaluation, root, point, most: lent_seconds(evaluation, point))
def events_at(evaluation: Evaluation, root: Path, point: Point, most: float | None) -> Iterator[Progress | CellDone]:
    """The events of one scheduler and number of steps, one a HEARTBEAT."""
    yield from in_beats(evaluate(evaluation, CellStore(root), [point], most))

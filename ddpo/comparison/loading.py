"""Having what a comparison needs: torch and diffusers imported, files on this machine, models in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ddpo import rewards
from ddpo.comparison.events import Progress
from ddpo.comparison.settings import ComparisonSettings, resolve
from ddpo.hub import downloads, ids
from ddpo.rewards import Reward, RewardSpec, weights

if TYPE_CHECKING:
    from ddpo.diffusion.models import DiffusionModel
    from ddpo.diffusion.precision import Compute

LOADING_INTERVAL = 0.2  # seconds between two looks at how far a download is
T = TypeVar("T")
_importing = threading.Lock()


def import_engine() -> None:
    """Import torch and diffusers, one thread at a time.

    Their modules import each other in circles, and two threads that enter at different places find unfinished ones.
    """
    with _importing:
        import ddpo.diffusion.models
        import ddpo.diffusion.sampling  # noqa: F401


def load(source: str, compute: Compute) -> Generator[Progress, None, DiffusionModel]:
    """A model, and while its files arrive how many are there."""
    from ddpo.diffusion.models import cache

    return (yield from _watched(ids.short_name(source), lambda tell: cache.get(source, compute, tell), "Loading"))


def download(settings: ComparisonSettings) -> Iterator[Progress]:
    """Have all files of a comparison on this machine, as `compare` does by itself, without loading any.

    Raises:
        UserError: a model or the scorer's weights cannot be had.
    """
    comparison = resolve(settings)
    yield from download_models(comparison.base, comparison.tuned)
    yield from download_scorer(comparison.scorer)


def download_models(*sources: str) -> Iterator[Progress]:
    """Have all files of models on this machine, without loading any.

    Raises:
        UserError: one cannot be had.
    """
    from ddpo.diffusion.models import fetch

    for source in sources:
        yield from _watched(ids.short_name(source), partial(fetch, source))


def download_scorer(scorer: RewardSpec) -> Iterator[Progress]:
    """Fetch what a scorer needs and this machine lacks, and tell how many bytes have come.

    Raises:
        UserError: a file cannot be had.
    """
    for file in scorer.files:
        if weights.cached(file) is None:
            yield from _watched(file.filename, partial(weights.fetch, file))


def load_scorer(scorer: RewardSpec, compute: Compute) -> Generator[Progress, None, Reward]:
    """A scorer with its weights, and how many bytes of them have come.

    Raises:
        UserError: it cannot be used here, or its weights cannot be had.
    """
    if scorer.obstacle() is None:
        yield from download_scorer(scorer)
    return rewards.build(scorer, compute)


def _watched(
    what: str, work: Callable[[downloads.Progress], T], verb: str = "Downloading"
) -> Generator[Progress, None, T]:
    """The outcome of a download or of loading, and how far it is. Closing the iterator gives it up between two layers,
    or between two pieces of a file.

    Args:
        what: is downloaded.
        work: downloads, and tells what it is given of bytes there and bytes in all.
        verb: what it does where no bytes come.
    """
    arrived = (0, 0)
    outcome: Future[T] = Future()
    given_up = threading.Event()

    def tell(done: int, total: int) -> None:
        nonlocal arrived
        from ddpo.diffusion import cancelling

        cancelling.check()
        arrived = done, total

    def run() -> None:
        from ddpo.diffusion import cancelling

        try:
            with cancelling.cancellable(given_up):
                outcome.set_result(work(tell))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        while wait([outcome], LOADING_INTERVAL).not_done:
            done, total = arrived
            far = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else "begins"
            stage = f"Downloading {what}: {far}" if total or verb == "Downloading" else f"{verb} {what}"
            yield Progress(stage, 0, 0)
    finally:
        given_up.set()
    return outcome.result()

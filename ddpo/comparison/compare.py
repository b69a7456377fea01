"""One comparison: the same seeds drawn by the base and by the finetuned model, scored, with the statistics.

The app, its endpoints and scripts all come through `compare`. Nothing heavy is imported before it runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ddpo import rewards
from ddpo.common import company
from ddpo.common.statistics import PairedStatistics, describe, paired_statistics
from ddpo.comparison.settings import Comparison, ComparisonSettings, resolve
from ddpo.errors import UserError
from ddpo.hub import downloads, ids
from ddpo.rewards import RewardSpec, weights

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ddpo.diffusion.models import DiffusionModel
    from ddpo.diffusion.precision import Compute
    from ddpo.diffusion.sampling import DenoisingState

PREVIEW_INTERVAL = 0.5  # seconds between two previews
LOADING_INTERVAL = 0.2  # seconds between two looks at how far a download is
T = TypeVar("T")
_importing = threading.Lock()


@dataclass(frozen=True)
class Progress:
    """How far a comparison is."""

    stage: str
    step: int  # evaluations of either network so far
    total: int  # of both networks; 0 while it is not known
    seconds_left: float | None = None
    previews: tuple[list[Image], list[Image]] | None = None  # (base, finetuned), half denoised; now and then


@dataclass(frozen=True)
class ComparisonResult:
    """Pictures, scores and statistics, all in the order of `seeds`."""

    comparison: Comparison
    base_images: list[Image]
    tuned_images: list[Image]
    base_scores: list[float]
    tuned_scores: list[float]
    statistics: PairedStatistics
    seconds: float  # sampling and scoring, without loading
    compute: str  # device and dtype

    @property
    def seeds(self) -> list[int]:
        """One for each picture of either model."""
        return self.comparison.seeds

    @property
    def seconds_per_image(self) -> float:
        """Of either model."""
        return self.seconds / (2 * len(self.seeds))

    @property
    def sentence(self) -> str:
        """How much better the finetuned model is and how sure we are."""
        spec = self.comparison.scorer
        return describe(self.statistics, spec.name, spec.unit, spec.decimals)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, ready for JSON."""
        return {
            "settings": self.comparison.to_dict(),
            "scorer": self.comparison.scorer.name,
            "seeds": self.seeds,
            "base_scores": self.base_scores,
            "tuned_scores": self.tuned_scores,
            "statistics": asdict(self.statistics),
            "sentence": self.sentence,
            "seconds_per_image": self.seconds_per_image,
            "compute": self.compute,
        }


def import_engine() -> None:
    """Import torch and diffusers, one thread at a time.

    Their modules import each other in circles, and two threads that enter at different places find unfinished ones.
    """
    with _importing:
        import ddpo.diffusion.models
        import ddpo.diffusion.sampling  # noqa: F401


def compare(settings: ComparisonSettings, most: float | None = None) -> Iterator[Progress | ComparisonResult]:
    """Run a comparison: many `Progress`, one per evaluation of both networks, then the `ComparisonResult`.

    Closing the iterator cancels between two steps.

    Args:
        settings: what is compared.
        most: that it may cost, in the unit of `Comparison.pixel_steps`; None: no limit.

    Raises:
        UserError: a model cannot be loaded, the two do not fit together, they cost too much, or the scorer fails.
    """
    comparison = resolve(settings)
    yield Progress("Loading the models", 0, 0)
    import_engine()
    with company.computing():
        yield from _compare(comparison, most)


def _compare(comparison: Comparison, most: float | None) -> Iterator[Progress | ComparisonResult]:
    """See `compare`."""
    from ddpo.diffusion import footprint
    from ddpo.diffusion.precision import choose_compute

    compute = choose_compute(comparison.precision)
    base, tuned = yield from _load_pair(comparison, compute)
    comparison.check_cost(max(base.picture_shape[1:]), most)  # what a model on the Hub draws is known only now
    for model in (base, tuned):
        footprint.check_sampling(model.unet, comparison.samples, compute)
    yield Progress("Loading the scorer", 0, 0)
    if comparison.scorer.obstacle() is None:
        yield from download_scorer(comparison.scorer)
    reward = rewards.build(comparison.scorer, compute)  # before anything is drawn: its weights may be out of reach
    started = time.perf_counter()
    next_preview = started
    final: tuple[DenoisingState, DenoisingState] | None = None
    for final in _denoise_both(base, tuned, comparison, compute):
        preview_is_due = time.perf_counter() >= next_preview
        if preview_is_due:
            next_preview = time.perf_counter() + PREVIEW_INTERVAL
        yield _progress(final, started, preview_is_due)
    assert final is not None  # every scheduler takes at least one step
    yield Progress("Scoring", 2 * final[0].total, 2 * final[0].total, 0.0)
    yield _finish(comparison, final, reward, compute, started)


def score_picture(picture: Image, scorer: str) -> float:
    """The score of one picture of any size.

    Raises:
        UserError: the scorer is not known or cannot score this picture.
    """
    return picture_scorer(scorer)(picture)


def picture_scorer(scorer: str, own_functions: bool = False) -> Callable[[Image], float]:
    """What scores pictures of any size, one at a time.

    Args:
        scorer: its name.
        own_functions: whether that may be "module:function", whose code is run.

    Raises:
        UserError: the scorer is not known, or its weights cannot be had.
    """
    import_engine()
    import numpy as np

    from ddpo.diffusion.pictures import from_uint8
    from ddpo.diffusion.precision import choose_compute

    compute = choose_compute()
    reward = rewards.load(scorer, compute, own_functions)

    def score(picture: Image) -> float:
        pixels = np.asarray(picture.convert("RGB"))[None]  # (1, H, W, 3)
        return float(reward(from_uint8(pixels).to(compute.device))[0])

    return score


def _load_pair(
    comparison: Comparison, compute: Compute
) -> Generator[Progress, None, tuple[DiffusionModel, DiffusionModel]]:
    base = yield from _load(comparison.base, compute)
    tuned = yield from _load(comparison.tuned, compute)
    if base.picture_shape != tuned.picture_shape:
        shapes = " and ".join("{1} x {2}".format(*model.picture_shape) for model in (base, tuned))
        raise UserError(f"The two models draw pictures of different sizes ({shapes}), so they cannot be compared.")
    return base, tuned


def _load(source: str, compute: Compute) -> Generator[Progress, None, DiffusionModel]:
    """A model, and while its files arrive how many are there."""
    from ddpo.diffusion.models import cache

    return (yield from _watched(ids.short_name(source), lambda tell: cache.get(source, compute, tell), "Loading"))


def download(settings: ComparisonSettings) -> Iterator[Progress]:
    """Have all files of a comparison on this machine, as `compare` does by itself, without loading any.

    Raises:
        UserError: a model or the scorer's weights cannot be had.
    """
    from ddpo.diffusion.models import fetch

    comparison = resolve(settings)
    for source in (comparison.base, comparison.tuned):
        yield from _watched(ids.short_name(source), partial(fetch, source))
    yield from download_scorer(comparison.scorer)


def download_scorer(scorer: RewardSpec) -> Iterator[Progress]:
    """Fetch what a scorer needs and this machine lacks, and tell how many bytes have come.

    Raises:
        UserError: a file cannot be had.
    """
    for file in scorer.files:
        if weights.cached(file) is None:
            yield from _watched(file.filename, partial(weights.fetch, file))


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


def _denoise_both(
    base: DiffusionModel, tuned: DiffusionModel, comparison: Comparison, compute: Compute
) -> Iterator[tuple[DenoisingState, DenoisingState]]:
    """Both models in step, so that the previews show the same moment of both."""
    from ddpo.diffusion.sampling import sample

    runs = [
        sample(model, comparison.seeds, comparison.scheduler, comparison.steps, compute, comparison.eta)
        for model in (base, tuned)
    ]
    yield from zip(*runs, strict=True)


def _progress(states: tuple[DenoisingState, DenoisingState], started: float, with_preview: bool) -> Progress:
    done, total = states[0].step, states[0].total
    elapsed = time.perf_counter() - started
    previews = (_pictures(states[0].x_0), _pictures(states[1].x_0)) if with_preview else None
    return Progress("Denoising", 2 * done, 2 * total, elapsed / done * (total - done), previews)


def _finish(
    comparison: Comparison,
    states: tuple[DenoisingState, DenoisingState],
    reward: rewards.Reward,
    compute: Compute,
    started: float,
) -> ComparisonResult:
    base, tuned = (_pictures(state.x_t) for state in states)
    base_scores, tuned_scores = (_scores(state.x_t, reward) for state in states)
    return ComparisonResult(
        comparison=comparison,
        base_images=base,
        tuned_images=tuned,
        base_scores=base_scores,
        tuned_scores=tuned_scores,
        statistics=paired_statistics(base_scores, tuned_scores),
        seconds=time.perf_counter() - started,
        compute=str(compute),
    )


def _pictures(x: Tensor) -> list[Image]:
    from PIL import Image

    from ddpo.diffusion.pictures import to_uint8

    return [Image.fromarray(pixels) for pixels in to_uint8(x)]


def _scores(x: Tensor, reward: rewards.Reward) -> list[float]:
    """Scores of the pictures as they are shown and saved, rounded to 8 bits."""
    from ddpo.diffusion.pictures import from_uint8, to_uint8

    return [float(score) for score in reward(from_uint8(to_uint8(x)))]

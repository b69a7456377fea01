"""One comparison: the same seeds drawn by the base and by the finetuned model, scored, with the statistics.

The app, its endpoints and scripts all come through `compare`. Nothing heavy is imported before it runs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ddpo import rewards
from ddpo.common.statistics import PairedStatistics, describe, paired_statistics
from ddpo.comparison import first_choice
from ddpo.diffusion import schedulers
from ddpo.errors import UserError
from ddpo.hub import downloads, ids
from ddpo.rewards import weights
from ddpo.runs.pairs import OWN, get_pair

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ddpo.diffusion.models import DiffusionModel
    from ddpo.diffusion.precision import Compute, PrecisionName
    from ddpo.diffusion.sampling import DenoisingState

MAX_SAMPLES = 16
DEFAULT_SAMPLES = 8  # of church-64; with four, the interval of a gain of 1.3 standard deviations may hold zero
MAX_SEED = 2**32 - 1
PREVIEW_INTERVAL = 0.5  # seconds between two previews
LOADING_INTERVAL = 0.2  # seconds between two looks at how far a download is
T = TypeVar("T")


@dataclass(frozen=True)
class ComparisonSettings:
    """What to compare and how.

    Raises:
        UserError: a value is outside its range, or a name is not known.
    """

    pair: str = field(
        default_factory=lambda: first_choice.choose().pair
    )  # its name; "own": base and tuned are both given
    scheduler: str = "ddim"
    steps: int | None = None  # denoising steps; None is the scheduler's default
    eta: float = 0.0  # DDIM's share of noise, in [0, 1]
    samples: int = DEFAULT_SAMPLES  # pictures of each model, 1 .. MAX_SAMPLES, from seeds seed, seed + 1, ...
    seed: int = 0  # first seed, 0 .. MAX_SEED
    scorer: str = ""  # its name; "": `defaults.scorer` of the pair
    base: str | None = None  # folder or Hub id of a model that replaces the pair's base
    tuned: str | None = None  # folder or Hub id of a model that replaces the pair's finetuned one
    precision: PrecisionName | None = None  # None: DDPO_PRECISION, else what the hardware is quick at

    def __post_init__(self) -> None:
        for what, name in (("pair", self.pair), ("scheduler", self.scheduler), ("scorer", self.scorer)):
            _check_text(f"The {what}", name)
        for what, source in (("base", self.base), ("finetuned", self.tuned)):
            if source is not None:
                _check_text(f"The folder or id of the {what} model", source)
        get_pair(self.pair)
        if self.pair == OWN and not (self.base and self.tuned):
            raise UserError("Give both models, the base and the finetuned one, each as a folder or an id on the Hub.")
        if self.scorer:
            rewards.get(self.scorer)
        spec = schedulers.get_scheduler(self.scheduler)
        if self.steps is not None:
            _check_number("The number of steps", self.steps)
            schedulers.check_steps(spec, self.steps)
        _check_number("eta", self.eta)
        schedulers.check_eta(spec, self.eta)
        _check_whole("The number of samples", self.samples, 1, MAX_SAMPLES)
        _check_whole("The seed", self.seed, 0, MAX_SEED)

    def resolved(self) -> ComparisonSettings:
        """The same with every default filled in."""
        pair = get_pair(self.pair)
        if self.base not in (None, "", pair.base) and self.tuned not in (None, "", pair.tuned):
            pair = get_pair(OWN)
        spec = schedulers.get_scheduler(self.scheduler)
        return replace(
            self,
            pair=pair.name,
            steps=spec.default_steps if self.steps is None else self.steps,
            eta=self.eta if spec.takes_eta else 0.0,
            scorer=self.scorer or first_choice.scorer(pair.name),
            base=self.base or pair.base,
            tuned=self.tuned or pair.tuned,
        )

    @property
    def models(self) -> str:
        """What is compared, for people: the title of the pair, with the names of models that are not its own."""
        base, tuned = (ids.short_name(source) if source else None for source in (self.base, self.tuned))
        if self.pair == OWN:
            return f"{base} against {tuned}"
        pair = get_pair(self.pair)
        other = [f"{base} as its base"] if base and self.base != pair.base else []
        other += [f"{tuned} as its finetuned model"] if tuned and self.tuned != pair.tuned else []
        return " with ".join([pair.title, *other])

    @property
    def seeds(self) -> list[int]:
        """The seeds of the pictures; they wrap around after MAX_SEED."""
        return [(self.seed + i) % (MAX_SEED + 1) for i in range(self.samples)]


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

    settings: ComparisonSettings
    seeds: list[int]
    base_images: list[Image]
    tuned_images: list[Image]
    base_scores: list[float]
    tuned_scores: list[float]
    statistics: PairedStatistics
    seconds: float  # sampling and scoring, without loading
    compute: str  # device and dtype

    @property
    def seconds_per_image(self) -> float:
        """Of either model."""
        return self.seconds / (2 * len(self.seeds))

    @property
    def sentence(self) -> str:
        """How much better the finetuned model is and how sure we are."""
        spec = rewards.get(self.settings.scorer)
        return describe(self.statistics, spec.name, spec.unit, spec.decimals)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, ready for JSON."""
        settings = asdict(self.settings)
        pair = get_pair(self.settings.pair)
        for name, own in (("base", pair.base), ("tuned", pair.tuned)):
            # Where a model lies on this machine concerns nobody: None is the pair's own, else the id or folder's name.
            settings[name] = None if settings[name] == own else ids.short_name(settings[name])
        return {
            "settings": settings,
            "scorer": self.settings.scorer,
            "seeds": self.seeds,
            "base_scores": self.base_scores,
            "tuned_scores": self.tuned_scores,
            "statistics": asdict(self.statistics),
            "sentence": self.sentence,
            "seconds_per_image": self.seconds_per_image,
            "compute": self.compute,
        }


def compare(settings: ComparisonSettings) -> Iterator[Progress | ComparisonResult]:
    """Run a comparison: many `Progress`, one per evaluation of both networks, then the `ComparisonResult`.

    Closing the iterator cancels between two steps.

    Raises:
        UserError: a model cannot be loaded, the two do not fit together, or the scorer fails.
    """
    from ddpo.diffusion.precision import choose_compute

    settings = settings.resolved()
    yield Progress("Loading the models", 0, 0)
    compute = choose_compute(settings.precision)
    base, tuned = yield from _load_pair(settings, compute)
    yield Progress("Loading the scorer", 0, 0)
    if rewards.get(settings.scorer).obstacle() is None:
        yield from _download_scorer(settings.scorer)
    reward = rewards.load(settings.scorer, compute)  # before anything is drawn, as its weights may be out of reach
    started = time.perf_counter()
    next_preview = started
    final: tuple[DenoisingState, DenoisingState] | None = None
    for final in _denoise_both(base, tuned, settings, compute):
        preview_is_due = time.perf_counter() >= next_preview
        if preview_is_due:
            next_preview = time.perf_counter() + PREVIEW_INTERVAL
        yield _progress(final, started, preview_is_due)
    assert final is not None  # every scheduler takes at least one step
    yield Progress("Scoring", 2 * final[0].total, 2 * final[0].total, 0.0)
    yield _finish(settings, final, reward, compute, started)


def score_picture(picture: Image, scorer: str) -> float:
    """The score of one picture of any size.

    Raises:
        UserError: the scorer is not known or cannot score this picture.
    """
    import numpy as np

    from ddpo.diffusion.pictures import from_uint8
    from ddpo.diffusion.precision import choose_compute

    reward = rewards.load(scorer, choose_compute())
    pixels = np.asarray(picture.convert("RGB"))[None]
    return float(reward(from_uint8(pixels))[0])


def _check_text(what: str, value: str) -> None:
    if not isinstance(value, str) or "\0" in value:
        raise UserError(f"{what} must be given as text, and {value!r} is not.")


def _check_number(what: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{what} must be a finite number, and {value!r} is not one.")


def _check_whole(what: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{what} must be a whole number from {low} to {high}, and {value!r} is not one.")


def _load_pair(
    settings: ComparisonSettings, compute: Compute
) -> Generator[Progress, None, tuple[DiffusionModel, DiffusionModel]]:
    assert settings.base is not None and settings.tuned is not None
    base = yield from _load(settings.base, compute)
    tuned = yield from _load(settings.tuned, compute)
    if base.picture_shape != tuned.picture_shape:
        shapes = " and ".join("{1} x {2}".format(*model.picture_shape) for model in (base, tuned))
        raise UserError(f"The two models draw pictures of different sizes ({shapes}), so they cannot be compared.")
    return base, tuned


def _load(source: str, compute: Compute) -> Generator[Progress, None, DiffusionModel]:
    """A model, and while its files arrive how many are there."""
    from ddpo.diffusion.models import cache

    return (yield from _watched(ids.short_name(source), lambda tell: cache.get(source, compute, tell)))


def download(settings: ComparisonSettings) -> Iterator[Progress]:
    """Have all files of a comparison on this machine, as `compare` does by itself, without loading any.

    Raises:
        UserError: a model or the scorer's weights cannot be had.
    """
    from ddpo.diffusion.models import fetch

    settings = settings.resolved()
    for source in (settings.base, settings.tuned):
        assert source is not None
        yield from _watched(ids.short_name(source), partial(fetch, source))
    yield from _download_scorer(settings.scorer)


def _download_scorer(name: str) -> Iterator[Progress]:
    for file in rewards.get(name).files:
        if weights.cached(file) is None:
            yield from _watched(file.filename, partial(weights.fetch, file))


def _watched(what: str, work: Callable[[downloads.Progress], T]) -> Generator[Progress, None, T]:
    """The outcome of a download, and while bytes arrive how many. Closing the iterator leaves it to its end.

    Args:
        what: is downloaded.
        work: downloads, and tells what it is given of bytes there and bytes in all.
    """
    arrived = (0, 0)
    outcome: Future[T] = Future()

    def tell(done: int, total: int) -> None:
        nonlocal arrived
        arrived = done, total

    def run() -> None:
        try:
            outcome.set_result(work(tell))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while wait([outcome], LOADING_INTERVAL).not_done:
        done, total = arrived
        if total:
            yield Progress(f"Downloading {what}: {done / 1e6:.0f} of {total / 1e6:.0f} MB", 0, 0)
    return outcome.result()


def _denoise_both(
    base: DiffusionModel, tuned: DiffusionModel, settings: ComparisonSettings, compute: Compute
) -> Iterator[tuple[DenoisingState, DenoisingState]]:
    """Both models in step, so that the previews show the same moment of both."""
    from ddpo.diffusion.sampling import sample

    assert settings.steps is not None
    runs = [
        sample(model, settings.seeds, settings.scheduler, settings.steps, compute, settings.eta)
        for model in (base, tuned)
    ]
    yield from zip(*runs, strict=True)


def _progress(states: tuple[DenoisingState, DenoisingState], started: float, with_preview: bool) -> Progress:
    done, total = states[0].step, states[0].total
    elapsed = time.perf_counter() - started
    previews = (_pictures(states[0].x_0), _pictures(states[1].x_0)) if with_preview else None
    return Progress("Denoising", 2 * done, 2 * total, elapsed / done * (total - done), previews)


def _finish(
    settings: ComparisonSettings,
    states: tuple[DenoisingState, DenoisingState],
    reward: rewards.Reward,
    compute: Compute,
    started: float,
) -> ComparisonResult:
    base, tuned = (_pictures(state.x_t) for state in states)
    base_scores, tuned_scores = (_scores(state.x_t, reward) for state in states)
    return ComparisonResult(
        settings=settings,
        seeds=settings.seeds,
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

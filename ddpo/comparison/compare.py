"""One comparison: the same seeds drawn by the base and by the finetuned model, scored, with the statistics.

The app, its endpoints and scripts all come through `compare`. Nothing heavy is imported before it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from ddpo import rewards
from ddpo.common import company
from ddpo.common.statistics import paired_statistics
from ddpo.comparison.diversity import diversity_kept
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.loading import import_engine, load, load_scorer
from ddpo.comparison.settings import Comparison, ComparisonSettings, resolve
from ddpo.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ddpo.diffusion.models import DiffusionModel
    from ddpo.diffusion.precision import Compute
    from ddpo.diffusion.sampling import DenoisingState

PREVIEW_INTERVAL, LONGEST_INTERVAL = 1.0, 2.0  # seconds between two previews, the least and the most
SHARE = 0.05  # of the time so far, which the interval grows to between the two


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
    base, tuned = yield from load_pair(comparison, compute)
    comparison.check_cost(max(base.picture_shape[1:]), most)  # what a model on the Hub draws is known only now
    for model in (base, tuned):
        footprint.most_at_once(model.unet, comparison.samples, compute)  # refused before the scorer is had
    yield Progress("Loading the scorer", 0, 0)
    # Before anything is drawn, as its weights may be out of reach.
    reward = yield from load_scorer(comparison.scorer, compute)
    started = time.perf_counter()
    next_preview = started
    final: tuple[DenoisingState, DenoisingState] | None = None
    for final in denoise_both(base, tuned, comparison, compute):
        now = time.perf_counter()
        preview_is_due = now >= next_preview
        if preview_is_due:
            next_preview = now + min(LONGEST_INTERVAL, max(PREVIEW_INTERVAL, SHARE * (now - started)))
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


def load_pair(
    comparison: Comparison, compute: Compute
) -> Generator[Progress, None, tuple[DiffusionModel, DiffusionModel]]:
    """Both models, which draw pictures of one size.

    Raises:
        UserError: one cannot be had, or they do not.
    """
    base = yield from load(comparison.base, compute)
    tuned = yield from load(comparison.tuned, compute)
    if base.picture_shape != tuned.picture_shape:
        shapes = " and ".join("{1} x {2}".format(*model.picture_shape) for model in (base, tuned))
        raise UserError(f"The two models draw pictures of different sizes ({shapes}), so they cannot be compared.")
    return base, tuned


def denoise_both(
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
    previews = (pictures_of(states[0].x_0), pictures_of(states[1].x_0)) if with_preview else None
    return Progress("Denoising", 2 * done, 2 * total, elapsed / done * (total - done), previews)


def _finish(
    comparison: Comparison,
    states: tuple[DenoisingState, DenoisingState],
    reward: rewards.Reward,
    compute: Compute,
    started: float,
) -> ComparisonResult:
    base, tuned = (pictures_of(state.x_t) for state in states)
    base_scores, tuned_scores = (scores_of(state.x_t, reward) for state in states)
    return ComparisonResult(
        comparison=comparison,
        base_images=base,
        tuned_images=tuned,
        base_scores=base_scores,
        tuned_scores=tuned_scores,
        statistics=paired_statistics(base_scores, tuned_scores),
        seconds=time.perf_counter() - started,
        compute=str(compute),
        diversity=diversity_kept(base, tuned),
    )


def pictures_of(x: Tensor) -> list[Image]:
    """Pictures (B, 3, H, W) in [-1, 1], rounded to 8 bits."""
    from PIL import Image

    from ddpo.diffusion.pictures import to_uint8

    return [Image.fromarray(pixels) for pixels in to_uint8(x)]


def scores_of(x: Tensor, reward: rewards.Reward) -> list[float]:
    """Scores of the pictures as they are shown and saved, rounded to 8 bits."""
    from ddpo.diffusion.pictures import from_uint8, to_uint8

    return [float(score) for score in reward(from_uint8(to_uint8(x)))]

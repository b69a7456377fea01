"""Other scorers for the pictures that are there: nothing is drawn again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ddpo import rewards
from ddpo.common import company
from ddpo.common.statistics import paired_statistics
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.loading import import_engine, load_scorer
from ddpo.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from ddpo.diffusion.precision import Compute

AT_ONCE = 8  # pictures between two events


def at_hand(*others: str) -> list[str]:
    """Names of the scorers that need neither a sentence nor a download here, and others that are asked for.

    Args:
        *others: names that come first.
    """
    able = [
        spec.name
        for spec in rewards.REWARDS.values()
        if not spec.argument and spec.obstacle() is None and spec.download_megabytes == 0
    ]
    return list(dict.fromkeys([*others, *able]))


def rescore(result: ComparisonResult, scorer: str) -> Iterator[Progress | ComparisonResult]:
    """Score a comparison's pictures by another scorer: `Progress`, then the same result with other scores.

    Closing the iterator stops between a few pictures.

    Args:
        result: of a comparison.
        scorer: its name.

    Raises:
        UserError: the scorer is not known, cannot be had, or fails.
    """
    from ddpo.diffusion.precision import choose_compute

    spec = rewards.get(scorer)
    yield Progress(f"Loading the scorer {spec.title}", 0, 0)
    import_engine()
    with company.computing():
        compute = choose_compute(result.comparison.precision)
        reward = yield from load_scorer(spec, compute)
        pictures = [*result.base_images, *result.tuned_images]
        scores: list[float] = []
        for first in range(0, len(pictures), AT_ONCE):
            scores += _score(pictures[first : first + AT_ONCE], reward, compute)
            yield Progress(f"Scoring the same pictures by {spec.title}", len(scores), len(pictures))
    yield with_scores(result, spec, scores[: len(result.seeds)], scores[len(result.seeds) :])


def with_scores(
    result: ComparisonResult, spec: rewards.RewardSpec, base: Sequence[float], tuned: Sequence[float]
) -> ComparisonResult:
    """The same pictures with the scores of another scorer."""
    return replace(
        result,
        comparison=replace(result.comparison, scorer=spec),
        base_scores=list(base),
        tuned_scores=list(tuned),
        statistics=paired_statistics(base, tuned),
    )


def score_pictures(pictures: Sequence[Image], scorer: str) -> list[float]:
    """Scores of pictures of one size, at most a few.

    Raises:
        UserError: the scorer is not known, cannot be had, or fails.
    """
    from ddpo.diffusion.precision import choose_compute

    import_engine()
    compute = choose_compute()
    return _score(pictures, rewards.load(scorer, compute), compute)


def _score(pictures: Sequence[Image], reward: rewards.Reward, compute: Compute) -> list[float]:
    import numpy as np
    import torch

    from ddpo.diffusion.pictures import from_uint8

    pixels = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    with torch.no_grad():
        scores = [float(score) for score in reward(from_uint8(pixels).to(compute.device))]
    if len(scores) != len(pictures) or not all(map(np.isfinite, scores)):
        raise UserError("The scorer must return a finite score for each picture, and it did not.")
    return scores

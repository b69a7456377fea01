"""Scores of single pictures, on a borrowed GPU where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddpo import rewards
from ddpo.common import lent_gpu, memory
from ddpo.common.machine import on_zero_gpu
from ddpo.comparison.compare import score_picture
from ddpo.rewards import weights
from ddpo.ui.space import zero_gpu

LARGE = 1_000_000  # pixels

if TYPE_CHECKING:
    from PIL.Image import Image


def score(picture: Image, scorer: str) -> float:
    """As `score_picture`, on a borrowed GPU where there is one. The memory of a large picture is handed back."""
    if on_zero_gpu():
        _download_scorer(scorer)
    try:
        return _score(picture, scorer)
    finally:
        if picture.width * picture.height > LARGE:
            memory.give_back()


def scoring_seconds(size: tuple[int, int], scorer: str) -> float:
    """How long the score of a picture keeps a lent GPU busy, in seconds.

    Args:
        size: width and height in pixels.
        scorer: its name.
    """
    return size[0] * size[1] / lent_gpu.PIXELS_SCORED + zero_gpu.loading_seconds((), scorer)


@zero_gpu.lent(lambda picture, scorer: scoring_seconds(picture.size, scorer))
def _score(picture: Image, scorer: str) -> float:
    return score_picture(picture, scorer)


def _download_scorer(name: str) -> None:
    for file in rewards.get(name).files:
        weights.fetch(file)

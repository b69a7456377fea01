"""Scores of single pictures, on a borrowed GPU where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ddpo import rewards
from ddpo.common import allocator, lent_gpu
from ddpo.common.machine import on_zero_gpu
from ddpo.comparison.compare import picture_scorer, score_picture
from ddpo.comparison.loading import download_scorer
from ddpo.comparison.why import Terms, terms_of
from ddpo.errors import Busy, UserError
from ddpo.ui.shared import places
from ddpo.ui.space import zero_gpu

if TYPE_CHECKING:
    from PIL.Image import Image

PATIENCE = 60.0  # seconds that a score waits for its place; the page's queue lets no more than two come here


def score(picture: Image, scorer: str) -> float:
    """As `score_picture`, in one of two places, and on a borrowed GPU where there is one.

    Raises:
        Busy: no place was free for a while.
        UserError: as `score_picture` does.
    """
    with _place():
        if on_zero_gpu():
            _download_scorer(scorer)
        return _score(picture, scorer)


def terms(pictures: Sequence[Image]) -> list[Terms]:
    """As `why.terms_of`, in one of the places, on the processor.

    Raises:
        Busy: no place was free for a while.
        UserError: as `terms_of` does.
    """
    with _place():
        return terms_of(pictures)


def score_many(pictures: Sequence[Image], scorers: Sequence[str]) -> list[dict[str, float | str]]:
    """Scores of a few pictures by several scorers, in one place and one call.

    Returns:
        For each picture its score by the name of the scorer, or the sentence with which that refuses it.

    Raises:
        Busy: no place was free for a while.
        UserError: a scorer is not known, or its weights cannot be had.
    """
    with _place():
        if on_zero_gpu():
            for scorer in scorers:
                _download_scorer(scorer)
        return _score_many(pictures, scorers)


@zero_gpu.lent(
    lambda pictures, scorers: sum(scoring_seconds(picture.size, name) for picture in pictures for name in scorers)
)
def _score_many(pictures: Sequence[Image], scorers: Sequence[str]) -> list[dict[str, float | str]]:
    found: list[dict[str, float | str]] = [{} for _ in pictures]
    for name in scorers:
        score_one = picture_scorer(name)
        for scores, picture in zip(found, pictures, strict=True):
            try:
                scores[name] = score_one(picture)
            except UserError as error:
                scores[name] = str(error)
    return found


@contextmanager
def _place() -> Iterator[None]:
    if not places.SCORING.take(PATIENCE):
        raise Busy("Too many pictures are being scored just now; try again in a minute.")
    try:
        yield
    finally:
        allocator.give_back()  # opening a picture of 100 megapixels takes 400 MB, which nobody needs for long
        places.SCORING.give_back()


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
    for _ in download_scorer(rewards.get(name)):
        pass  # nobody is told how many bytes have come

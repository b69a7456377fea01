"""Why `photographic` gives a picture its score: the terms of the product, of one picture or of two models' pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddpo.comparison.loading import import_engine

if TYPE_CHECKING:
    from PIL.Image import Image

SCORER = "photographic"
MEANINGS = {
    "colour": "colourful, not garish",
    "hues": "several hues",
    "contrast": "neither flat nor hard",
    "tone": "well exposed, many tones",
    "sharpness": "fine details",
    "noise": "free of noise",
    "composition": "a subject",
}
Terms = dict[str, float]  # by name, in (0, 1], what the term leaves of the score: 1 costs nothing


@dataclass(frozen=True)
class Change:
    """What became of a term, from one model's pictures to another's."""

    name: str
    base: float  # mean over the pictures, in (0, 1]
    tuned: float
    factor: float  # geometric mean of tuned / base: how often as far above 1 the score is by this term alone


def terms_of(pictures: Sequence[Image]) -> list[Terms]:
    """Each picture's terms, as factors: their product, times 9, is what the score has above 1.

    Args:
        pictures: of any size from 16 pixels a side.

    Raises:
        UserError: a picture is smaller.
    """
    import_engine()
    import numpy as np
    import torch

    from ddpo.diffusion.pictures import from_uint8
    from ddpo.rewards.photographic import WEIGHTS, photographic_terms

    found: list[Terms] = []
    for picture in pictures:
        with torch.no_grad():
            terms = photographic_terms(from_uint8(np.asarray(picture.convert("RGB"))[None]))
        found.append({name: float(terms[name][0]) ** weight for name, weight in WEIGHTS.items()})
    return found


def score_of(terms: Mapping[str, float]) -> float:
    """The score that terms make."""
    return 1 + 9 * math.prod(terms.values())


def changes(base: Sequence[Terms], tuned: Sequence[Terms]) -> list[Change]:
    """What became of each term, the one that raised the score most first.

    Args:
        base: n >= 1 pictures' terms.
        tuned: those of the other model, in the same order.
    """
    count = len(base)
    found = []
    for name in base[0]:
        factor = math.exp(math.fsum(math.log(b[name] / a[name]) for a, b in zip(base, tuned, strict=True)) / count)
        before, after = (math.fsum(terms[name] for terms in pictures) / count for pictures in (base, tuned))
        found.append(Change(name, before, after, factor))
    return sorted(found, key=lambda change: -change.factor)

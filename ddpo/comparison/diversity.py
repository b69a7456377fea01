"""How much of the base's diversity a finetuned model keeps, with its noise, from a few pictures of the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ddpo.comparison.events import DiversityKept

if TYPE_CHECKING:
    from PIL.Image import Image

FEWEST = 8  # pictures of each model, below which the noise is as large as what it is to show
SMALLEST = 16  # pixels a side that pictures are described from


def diversity_kept(base: Sequence[Image], tuned: Sequence[Image]) -> DiversityKept | None:
    """The mean squared distance of two pictures (`training/diversity.py`), as a share of the base's.

    Its standard error is the jackknife's, which leaves one seed out of both models at a time.

    Args:
        base: n pictures.
        tuned: of the same seeds.

    Returns:
        None below FEWEST pictures, for tiny ones, and where the base's are all alike.
    """
    import numpy as np

    from ddpo.diffusion.pictures import from_uint8
    from ddpo.training.diversity import describe_pictures, spread

    if len(base) < FEWEST or min(base[0].size) < SMALLEST:
        return None
    theirs, ours = (
        describe_pictures(from_uint8(np.stack([np.asarray(picture.convert("RGB")) for picture in pictures]))).double()
        for pictures in (base, tuned)
    )
    whole, count = spread(theirs), len(base)
    if whole <= 0:
        return None
    left_out = np.arange(count)
    shares = np.array([spread(ours[left_out != i]) / max(spread(theirs[left_out != i]), 1e-12) for i in left_out])
    return DiversityKept(spread(ours) / whole, float(np.sqrt((count - 1) * shares.var())))

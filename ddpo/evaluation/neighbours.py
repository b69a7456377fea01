"""The pictures of a model that are most like each other: what a collapse looks like before figures call it one."""

from __future__ import annotations

import numpy as np

SHOWN = 4  # pairs


def nearest_pairs(pictures: np.ndarray, count: int = SHOWN) -> list[tuple[int, int, float]]:
    """The pairs of pictures nearest to each other, in the space of `training/diversity.py`, each picture once.

    Args:
        pictures: (N, H, W, 3) uint8, at least 16 pixels a side; at most the first `modes.MOST` are looked at.
        count: pairs.

    Returns:
        (place, place, distance), the nearest first; none for pictures that are too small.
    """
    import torch

    from ddpo.diffusion.pictures import from_uint8
    from ddpo.training.diversity import describe_pictures
    from ddpo.training.modes import MOST

    if len(pictures) < 2 or min(pictures.shape[1:3]) < 16:
        return []
    rows = describe_pictures(from_uint8(pictures[:MOST])).double()
    distances = torch.cdist(rows, rows)
    distances[torch.ones_like(distances).tril().bool()] = torch.inf
    found: list[tuple[int, int, float]] = []
    for flat in distances.flatten().argsort().tolist():
        first, second = divmod(flat, len(rows))
        if len(found) == count or not torch.isfinite(distances[first, second]):
            break
        if not {first, second} & {place for pair in found for place in pair[:2]}:
            found.append((first, second, float(distances[first, second])))
    return found

"""How different the pictures of a model are from each other, so that a collapse to one picture is seen.

Distances between pixels are no measure of that: a model that had collapsed to one black church before a cyan sky kept
90% of its base's, because its contrast had risen. So a picture is described by three vectors from which contrast and
saturation are divided out, and which leave what a person would call another picture: another light, other colours,
another building in another place.

    tone    luminance over an 8 x 8 grid, less its mean: what is dark and what is bright; a coarse layout tells scenes
            apart as people do (Oliva and Torralba 2001)
    hue     the two opponent colours of Hasler and Suesstrunk (2003) over a 4 x 4 grid: which colours are where
    edges   strength of the gradient over an 8 x 8 grid, less its mean: where the shapes are

Each is scaled to length 1, so that the squared distance of two of them is twice one minus their cosine.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpo.diffusion.pictures import check_images

# Lengths at which a vector counts as half there: what is all but grey or flat has no hue and no shapes to speak of.
_FAINT = {"tone": 0.004, "hue": 0.01, "edges": 0.001}
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def describe_pictures(images: Tensor) -> Tensor:
    """The three vectors of each picture, side by side.

    Args:
        images: (B, 3, H, W) floating, in [-1, 1], at least 16 pixels a side.

    Returns:
        (B, 160) float32: 64 of tone, 32 of hue, 64 of edges, each part of length at most 1 / sqrt(3).

    Raises:
        UserError: not a batch of such pictures.
    """
    check_images(images, smallest=16)
    rgb = (images.float().clamp(-1, 1) + 1) / 2
    red, green, blue = rgb.unbind(1)
    luma = (rgb * rgb.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)  # (B, 1, H, W)
    opponents = torch.stack((red - green, 0.5 * (red + green) - blue), 1)  # (B, 2, H, W)
    across = luma[..., 1:-1, 2:] - luma[..., 1:-1, :-2]
    along = luma[..., 2:, 1:-1] - luma[..., :-2, 1:-1]
    gradient = (across.square() + along.square() + 1e-12).sqrt()
    parts = {
        "tone": _centred(F.adaptive_avg_pool2d(luma, 8).flatten(1)),
        "hue": F.adaptive_avg_pool2d(opponents, 4).flatten(1),
        "edges": _centred(F.adaptive_avg_pool2d(gradient, 8).flatten(1)),
    }
    return torch.cat([_scaled(part, _FAINT[name]) for name, part in parts.items()], 1) / len(parts) ** 0.5


def diversity(images: Tensor) -> float:
    """Mean squared distance between two different pictures, in the space of `describe_pictures`.

    Args:
        images: (N, 3, H, W) in [-1, 1], N >= 2.

    Returns:
        A number >= 0: 0 where all are alike; the mean of 1 - cosine over the three parts, times 2, where none is faint.

    Raises:
        UserError: not a batch of RGB pictures.
    """
    return spread(describe_pictures(images))


def spread(descriptions: Tensor) -> float:
    """Mean squared distance between two different rows of descriptions (N, F); 0 where there are fewer than two."""
    if len(descriptions) < 2:
        return 0.0
    # The mean over all pairs is twice the unbiased variance, summed over the features.
    return float(2 * descriptions.double().var(0, unbiased=True).sum())


def diversity_kept(images: Tensor, reference: Tensor) -> float:
    """Diversity of the pictures as a share of the diversity of others, of the base model as a rule.

    Args:
        images: (N, 3, H, W) in [-1, 1], N >= 2.
        reference: (M, 3, H, W) in [-1, 1], M >= 2.

    Returns:
        1.0 where both are as diverse (and where neither is at all), 0.0 where all pictures are alike.

    Raises:
        UserError: not batches of RGB pictures.
    """
    base = diversity(reference)
    return diversity(images) / base if base > 0 else 1.0


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(1, keepdim=True)


def _scaled(values: Tensor, faint: float) -> Tensor:
    """Rows scaled to length 1, and to less where they are hardly there."""
    length = values.square().mean(1, keepdim=True).sqrt()  # root mean square, the same whatever the grid
    return values / ((length + faint) * values.shape[1] ** 0.5)

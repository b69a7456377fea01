"""Colourfulness (Hasler and Suesstrunk 2003, "Measuring colorfulness in natural images", equation 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ddpo.diffusion.pictures import check_images
from ddpo.rewards.slopes import root

if TYPE_CHECKING:
    from ddpo.diffusion.precision import Compute
    from ddpo.rewards import Reward


def opponent_colourfulness(rgb: Tensor) -> Tensor:
    """The measure M(3): how far colours spread from each other, plus 0.3 times how far they lie from grey.

    Args:
        rgb: (B, 3, H, W) float32, sRGB in [0, 1].

    Returns:
        (B,) float32 on the paper's scale for 0..255 pixels: 0 grey, 33 moderately, 59 quite, 109 extremely colourful.
        Where a gradient is asked for, each of the two roots is smoothed by one level.
    """
    red, green, blue = (255 * rgb).unbind(1)  # each (B, H, W)
    opponents = torch.stack((red - green, 0.5 * (red + green) - blue), 1).flatten(2)  # (B, 2, H*W): rg and yb
    spread = opponents.var(-1, unbiased=False).sum(-1).clamp_min(0)
    distance = opponents.mean(-1).square().sum(-1)
    return root(spread, 1.0) + 0.3 * root(distance, 1.0)


def colourfulness(images: Tensor) -> Tensor:
    """Colourfulness of pictures: (B, 3, H, W) float32 in [-1, 1] -> (B,) float32.

    Raises:
        UserError: not a batch of RGB pictures.
    """
    check_images(images)
    return opponent_colourfulness((images.float().clamp(-1, 1) + 1) / 2)


def load(compute: Compute) -> Reward:
    """The scorer; it works wherever the pictures are."""
    return colourfulness

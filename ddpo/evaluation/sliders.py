"""What brightness, contrast and saturation alone would do: a change that no finetuning is needed for.

A reward such as `colourfulness` can be had by turning these three up on the base's own pictures. So each pair of
pictures of a seed is fitted: the luminance of the one as a + b times that of the other, and each of its two opponent
colours as c + d times that of the other, by least squares.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def explained_by_sliders(before: Tensor, after: Tensor) -> float:
    """How far sliders explain what became of pictures: the smaller of two shares, over all pictures.

    Of the change alone, sliders seem to explain much between any two pictures: they make the one grey and as bright as
    the other. So they must explain as much of what the pictures show, too.

    Args:
        before: (N, 3, H, W) in [-1, 1].
        after: (N, 3, H, W) in [-1, 1], of the same seeds.

    Returns:
        1 - |after - turned|^2 / min(|after - before|^2, |after - its mean|^2), in [0, 1], in luminance and opponent
        colours. `turned` is `before` with its sliders turned; means are those of a picture. NaN where nothing has
        changed.
    """
    left = moved = shown = 0.0
    for x, y in zip(_channels(before), _channels(after), strict=True):
        left += float(_misfit(x, y))
        moved += float((y - x).square().sum())
        shown += float((y - y.mean(1, keepdim=True)).square().sum())
    return 1 - left / min(moved, shown) if moved > 0 and shown > 0 else math.nan


def _channels(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Luminance and the two opponent colours, each (N, H * W) float64."""
    red, green, blue = pictures.double().flatten(2).unbind(1)
    luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return luma, red - green, 0.5 * (red + green) - blue


def _misfit(x: Tensor, y: Tensor) -> Tensor:
    """What is left of y (N, P), squared and summed, when each row is fitted as a + b x with x (N, P)."""
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    slope = (x * y).sum(1, keepdim=True) / x.square().sum(1, keepdim=True).clamp_min(1e-12)
    return torch.sum((y - slope * x).square())

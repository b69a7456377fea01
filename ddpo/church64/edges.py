"""How crisp edges are and how clean flat areas: what tells a drawing from a smear, whatever its colours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_EDGES = 0.05  # share of the pixels of a picture that count as edges: the strongest
_REACH = 3  # pixels on each side over which an edge may rise
FAINT = 0.02  # of 0..1: a rise below this is no edge


def edge_sharpness(pictures: Tensor) -> float:
    """How much of an edge's rise falls on its steepest pixel, averaged over the strongest edges of every picture.

    Dividing by the rise itself makes fog and noon comparable. A step gives 1, one reduced from a larger picture about
    0.75, one blurred with a standard deviation of s pixels about 0.4 / s.

    Args:
        pictures: (N, 3, H, W) in [-1, 1], at least 8 pixels a side.

    Returns:
        A number in 0..1; 0 where there is no edge at all.
    """
    luma = _luma(pictures)
    found = [_along_rows(luma), _along_rows(luma.transpose(2, 3))]
    steepest = torch.cat([steep for steep, _ in found], 1)  # (N, P)
    rises = torch.cat([rise for _, rise in found], 1)
    strongest = steepest.topk(int(_EDGES * steepest.shape[1]), dim=1).indices
    steepest, rises = steepest.gather(1, strongest), rises.gather(1, strongest)
    edges = rises > FAINT
    return float((steepest / rises.clamp(min=FAINT))[edges].mean()) if bool(edges.any()) else 0.0


def _along_rows(luma: Tensor) -> tuple[Tensor, Tensor]:
    """At each pixel the step to its neighbour where that is the steepest around, and the rise it is part of: (N, P)."""
    step = luma[..., 1:] - luma[..., :-1]  # (N, 1, H, W - 1)
    inner = slice(_REACH, -_REACH)
    around = torch.stack([_shifted(step, by) for by in range(-_REACH, _REACH + 1)])  # (2R + 1, N, 1, H, W')
    same_way = around * step[..., inner].sign()
    # The rise goes on from the pixel to both sides for as long as the steps keep their sign.
    rising = (same_way > 0).float()
    right = rising[_REACH:].cumprod(0)
    left = rising[: _REACH + 1].flip(0).cumprod(0)
    rise = (same_way[_REACH:] * right).sum(0) + (same_way[: _REACH + 1].flip(0) * left).sum(0) - same_way[_REACH]
    steepest = same_way[_REACH]
    local = steepest * (steepest >= same_way[_REACH - 1 : _REACH + 2].amax(0))
    return local.flatten(1), rise.flatten(1)


def _shifted(step: Tensor, by: int) -> Tensor:
    width = step.shape[-1] - 2 * _REACH
    return step[..., _REACH + by : _REACH + by + width]


def roughness(pictures: Tensor) -> float:
    """How far pixels of flat areas stray from their neighbours' mean: speckles, blotches and noise.

    Args:
        pictures: (N, 3, H, W) in [-1, 1].

    Returns:
        The mean over the calmer half of each picture's pixels, in grey levels of 0..255.
    """
    rgb = (pictures.float().clamp(-1, 1) + 1) * 127.5
    cross = torch.tensor([[0.0, 0.25, 0.0], [0.25, -1.0, 0.25], [0.0, 0.25, 0.0]]).expand(3, 1, 3, 3)
    stray = F.conv2d(rgb, cross, groups=3).abs().mean(1).flatten(1)  # (N, P)
    return float(stray.topk(stray.shape[1] // 2, dim=1, largest=False).values.mean())


def _luma(pictures: Tensor) -> Tensor:
    rgb = (pictures.float().clamp(-1, 1) + 1) / 2
    return (rgb * rgb.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)

"""Drawings spoiled on purpose: planted cases that a figure for fidelity must rank as the eye does."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpo.church64.scenes import draw_parts
from ddpo.diffusion.pictures import from_uint8


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Pictures (N, 3, H, W) under a Gaussian of that many pixels."""
    reach = max(1, round(3 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = weights / weights.sum()
    padded = F.pad(pictures, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, weights.view(1, 1, 1, -1).repeat(3, 1, 1, 1), groups=3)
    return F.conv2d(rows, weights.view(1, 1, -1, 1).repeat(3, 1, 1, 1), groups=3)


def speckled(pictures: Tensor, share: float, seed: int = 0) -> Tensor:
    """Pictures in which that share of the pixels is lighter or darker by up to a quarter of the range."""
    rng = torch.Generator().manual_seed(seed)
    where = torch.rand(pictures[:, :1].shape, generator=rng) < share
    return (pictures + where * (torch.rand(where.shape, generator=rng) - 0.5)).clamp(-1, 1)


def shifted(pictures: Tensor, red: float) -> Tensor:
    """Pictures with that much (of a range of 2) more red and as much less blue."""
    return (pictures + torch.tensor([red, 0.0, -red]).view(1, 3, 1, 1)).clamp(-1, 1)


def warped(pictures: Tensor, pixels: float, seed: int = 0) -> Tensor:
    """Pictures whose shapes wobble by about that many pixels: edges stay crisp and parts lose their form."""
    rng = torch.Generator().manual_seed(seed)
    n, _, height, width = pictures.shape
    coarse = torch.randn(n, 2, height // 4, width // 4, generator=rng)
    shift = F.interpolate(coarse, size=(height, width), mode="bicubic") * (2 * pixels / width)
    grid = F.affine_grid(torch.eye(2, 3).expand(n, 2, 3), [n, 3, height, width], align_corners=False)
    grid = grid + shift.permute(0, 2, 3, 1)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


def woven(pictures: Tensor, levels: float) -> Tensor:
    """Pictures under a canvas: a pattern of three pixels of that amplitude, in levels of 8 bits."""
    wave = torch.sin(2 * math.pi * torch.arange(pictures.shape[-1]) / 3)
    return (pictures + levels / 127.5 * (wave[:, None] * wave[None, :]) / 0.75).clamp(-1, 1)


def burnt(pictures: Tensor, factor: float) -> Tensor:
    """Pictures whose contrast is so many times as strong, clipped where it leaves the range."""
    return (pictures * factor).clamp(-1, 1)


def repeated(pictures: Tensor, kept: int) -> Tensor:
    """As many pictures, of which only so many differ."""
    return pictures[torch.arange(len(pictures)) % kept]


def without(part: str, first: int, count: int) -> Tensor:
    """The drawings of seeds `first .. first + count - 1` with one part left out: (count, 3, 64, 64) in [-1, 1]."""
    return torch.cat([from_uint8(draw_parts(seed, (part,))[0][None]) for seed in range(first, first + count)])


SPOILERS: dict[str, Callable[[Tensor], Tensor]] = {
    "blurred by 0.6 pixels": lambda x: blurred(x, 0.6),
    "blurred by 1 pixel": lambda x: blurred(x, 1.0),
    "speckled, 2%": lambda x: speckled(x, 0.02),
    "speckled, 8%": lambda x: speckled(x, 0.08),
    "shapes wobble by 1 pixel": lambda x: warped(x, 1.0),
    "redder by 3%": lambda x: shifted(x, 0.06),
    "redder by 8%": lambda x: shifted(x, 0.16),
}

# What a reward may pay for, and a person would not.
PLANTED: dict[str, Callable[[Tensor], Tensor]] = {
    "woven texture of 6 levels": lambda x: woven(x, 6),
    "woven texture of 12 levels": lambda x: woven(x, 12),
    "speckled, 2%": lambda x: speckled(x, 0.02),
    "contrast of 1.5 times": lambda x: burnt(x, 1.5),
    "contrast of 2.5 times": lambda x: burnt(x, 2.5),
    "8 pictures repeated": lambda x: repeated(x, 8),
    "one picture repeated": lambda x: repeated(x, 1),
}

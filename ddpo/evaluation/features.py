"""A fixed space in which small pictures are compared: a scattering transform. Nothing is downloaded or trained.

A scattering transform (Mallat 2012; Bruna and Mallat 2013) filters a picture with oriented wavelets at several scales,
takes the modulus, averages it over a coarse grid, and does the same again to the moduli. It is stable where a shape
moves a little and sensitive where it changes its form. Oriented filters were chosen over random ones because drawings
are made of straight edges: of the same drawings with edges that wobble by a pixel, random filters saw nothing.

    averages    the colours of an 8 x 8 grid
    first       |wavelet| of luminance and two opponent colours: four scales, eight orientations, a 4 x 4 grid
    second      |wavelet of |wavelet|| of luminance, at the same and the next coarser scale: corners, stripes, texture

Square roots are taken of the responses, as contrast is seen relative to what surrounds it.

A few features of all, such as the contrast, would outweigh the rest. So features are whitened: expressed in the main
directions in which drawings differ, each in units of how far drawings differ in it (`Whitening`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = (1, 2, 4, 8)  # pixels of the picture to one of what the wavelets see
ORIENTATIONS = 8
GRID = 4  # cells a side that responses are averaged over
_SIDE = 7  # pixels of a wavelet
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def wavelets() -> Tensor:
    """Morlet wavelets: (2 * ORIENTATIONS, 7, 7), even parts first, then odd, each without mean and of norm 1."""
    along = torch.arange(_SIDE) - _SIDE // 2
    y, x = torch.meshgrid(along.double(), along.double(), indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * 1.3**2))
    parts: list[list[Tensor]] = [[], []]
    for k in range(ORIENTATIONS):
        angle = math.pi * k / ORIENTATIONS
        phase = (x * math.cos(angle) + y * math.sin(angle)) * (0.6 * math.pi)
        for part, wave in zip(parts, (torch.cos(phase), torch.sin(phase)), strict=True):
            wavelet = envelope * (wave - (envelope * wave).sum() / envelope.sum())
            part.append(wavelet / wavelet.norm())
    return torch.stack(parts[0] + parts[1]).float()


def describe(pictures: Tensor, batch_size: int = 64) -> Tensor:
    """The features of pictures.

    Args:
        pictures: (N, 3, H, W) floating, in [-1, 1], of 16 to 64 pixels a side.
        batch_size: pictures at a time.

    Returns:
        (N, F) float32.
    """
    bank = wavelets().unsqueeze(1)  # (2 * ORIENTATIONS, 1, 7, 7)
    with torch.no_grad():
        return torch.cat([_describe(batch.float(), bank) for batch in pictures.split(batch_size)])


def _describe(pictures: Tensor, bank: Tensor) -> Tensor:
    red, green, blue = pictures.unbind(1)
    luma = (pictures * pictures.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1)
    channels = torch.stack((luma, red - green, 0.5 * (red + green) - blue), 1)  # (B, 3, 64, 64)
    parts = [F.adaptive_avg_pool2d(pictures, 2 * GRID)]
    for scale in SCALES:
        first = _moduli(F.avg_pool2d(channels, scale), bank)  # (B, 3 * ORIENTATIONS, 64 / scale, 64 / scale)
        parts.append(F.adaptive_avg_pool2d(first, GRID).sqrt())
        of_luma = first[:, :ORIENTATIONS]
        for step in (1, 2):
            if of_luma.shape[-1] // step >= 2 * GRID:
                second = _moduli(F.avg_pool2d(of_luma, step), bank)  # (B, ORIENTATIONS ** 2, ...)
                parts.append(F.adaptive_avg_pool2d(second, GRID // 2).sqrt())
    return torch.cat([part.flatten(1) for part in parts], 1)


def _moduli(x: Tensor, bank: Tensor) -> Tensor:
    """The modulus of every wavelet on every channel: (B, C, H, W) to (B, C * ORIENTATIONS, H, W)."""
    b, c, h, w = x.shape
    around = F.pad(x.reshape(b * c, 1, h, w), (_SIDE // 2,) * 4, mode="replicate")
    even, odd = F.conv2d(around, bank).split(ORIENTATIONS, dim=1)
    return (even.square() + odd.square() + 1e-10).sqrt().reshape(b, c * ORIENTATIONS, h, w)


class Whitening:
    """Features in the main directions in which drawings differ, in units of how far they differ there.

    Args:
        drawings: (N, F) features that set the directions; not those that pictures are compared with, to which they
            would fit too well.
        directions: how many are kept, below N.
    """

    def __init__(self, drawings: Tensor, directions: int = 64) -> None:
        self.mean, self.spread = drawings.mean(0), drawings.std(0) + 1e-3
        standard = (drawings - self.mean) / self.spread
        _, _, v = torch.linalg.svd(standard, full_matrices=False)
        self.directions = v[:directions].T  # (F, D)
        self.scale = (standard @ self.directions).std(0).clamp_min(1e-3)  # where all are alike, rounding is no distance

    def __call__(self, features: Tensor) -> Tensor:
        """(N, F) features to (N, D)."""
        return ((features - self.mean) / self.spread) @ self.directions / self.scale

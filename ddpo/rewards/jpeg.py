"""How well pictures compress as JPEG: the two rewards of Black et al. 2023 (arXiv 2305.13301, section 5.1)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from ddpo.diffusion.pictures import to_uint8

if TYPE_CHECKING:
    from ddpo.diffusion.precision import Compute
    from ddpo.rewards import Reward

QUALITY = 95  # of 100, as in the paper


def jpeg_kilobytes(images: Tensor) -> Tensor:
    """Size as a JPEG of quality 95.

    Args:
        images: (B, 3, H, W) float32 in [-1, 1].

    Returns:
        (B,) float32, in kB (1000 bytes), on the device of the pictures.

    Raises:
        UserError: not a batch of RGB pictures.
    """
    sizes = []
    for pixels in to_uint8(images):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="JPEG", quality=QUALITY)
        sizes.append(buffer.tell() / 1000)
    return torch.tensor(sizes, dtype=torch.float32, device=images.device)


def load_compressibility(compute: Compute) -> Reward:
    """Minus the size: smooth pictures with few details score higher."""
    return lambda images: -jpeg_kilobytes(images)


def load_incompressibility(compute: Compute) -> Reward:
    """The size: busy pictures score higher."""
    return jpeg_kilobytes

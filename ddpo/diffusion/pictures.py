"""Pictures as the engine holds them (float32 in [-1, 1]) and as they are shown, scored and saved (uint8)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ddpo.errors import UserError


def to_uint8(x: Tensor) -> np.ndarray:
    """Round to the 8 bits that are shown and saved.

    Args:
        x: (B, 3, H, W) floating, in [-1, 1]; values outside are clipped.

    Returns:
        (B, H, W, 3) uint8.

    Raises:
        UserError: x has another shape or dtype, or holds values that are not finite.
    """
    check_images(x)
    levels = (x.detach().float().clamp(-1, 1) + 1) * 127.5
    return levels.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def from_uint8(pixels: np.ndarray) -> Tensor:
    """The inverse of `to_uint8`, exact for every level.

    Args:
        pixels: (B, H, W, 3) uint8.

    Returns:
        (B, 3, H, W) float32 in [-1, 1], on the CPU.

    Raises:
        UserError: the array has another shape or dtype.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3 or 0 in pixels.shape[1:]:
        raise UserError(
            f"Pictures must be a (count, height, width, 3) array of uint8, not {pixels.shape} of {pixels.dtype}."
        )
    x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    return x.float() / 127.5 - 1


def check_images(images: Tensor, smallest: int = 1) -> None:
    """Refuse what is not a batch of RGB pictures.

    Args:
        images: should be (B, 3, H, W) floating and finite.
        smallest: the fewest pixels a side.

    Raises:
        UserError: one sentence that says what was given instead.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = str(images.dtype) if isinstance(images, Tensor) else type(images).__name__
        raise UserError(f"Pictures must be a tensor of floating numbers in [-1, 1], not {kind}.")
    if images.ndim != 4 or images.shape[1] != 3:
        raise UserError(f"Pictures must have the shape (count, 3, height, width), not {tuple(images.shape)}.")
    height, width = images.shape[2:]
    if min(height, width) < smallest:
        raise UserError(f"A picture of {width} x {height} pixels is too small; {smallest} pixels a side are needed.")
    if not bool(torch.isfinite(images).all()):
        raise UserError("A picture holds values that are not finite numbers, so it can be neither shown nor scored.")


def tile(pictures: np.ndarray, columns: int = 8, gap: int = 2) -> np.ndarray:
    """Lay pictures out in rows on white.

    Args:
        pictures: (N, H, W, 3) uint8, N a multiple of columns.
        columns: pictures in a row.
        gap: white pixels between two.
    """
    count, height, width, _ = pictures.shape
    rows = count // columns
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures[: rows * columns]):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = picture
    return sheet

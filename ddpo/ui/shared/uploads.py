"""Uploaded files, which may be anything, as pictures."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from ddpo.errors import UserError

LARGEST_SIDE = 2048  # pixels; larger pictures are reduced to this before they are scored
MAX_PIXELS = 100_000_000  # more than any camera takes; beyond that a small file fills the memory


def open_upload(path: str | None) -> Image.Image:
    """The uploaded picture in RGB, turned upright, at most LARGEST_SIDE a side.

    Raises:
        UserError: nothing was uploaded, or it is no picture, damaged, or too large to open.
    """
    if not path:
        raise UserError("No picture was uploaded; choose a PNG, JPEG or WebP file.")
    if Path(path).stat().st_size == 0:
        raise UserError("The uploaded file is empty; choose a PNG, JPEG or WebP file.")
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise UserError(f"A picture of {picture.width} x {picture.height} pixels is too large to be scored.")
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError("The uploaded file is not a picture; choose a PNG, JPEG or WebP file.") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise UserError("The uploaded picture is damaged and cannot be opened; choose another file.") from error
    upright.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return upright

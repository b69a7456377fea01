"""Pictures that a model should draw like, such as those that it was trained on, and how far it is from them.

A folder of pictures, or one picture in which squares of the models' size stand side by side, as church-64's are. The
distance is that of KID (Binkowski et al. 2018, arXiv 1801.01401), unbiased, in the scattering features of
`features.py`. Every other picture of the reference sets the space; what is measured is compared with the rest.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from ddpo.diffusion.pictures import from_uint8
from ddpo.errors import UserError
from ddpo.evaluation.features import Whitening, describe
from ddpo.evaluation.kernel_distance import kernel_distance
from ddpo.evaluation.measured import ReferenceDistance
from ddpo.evaluation.paired_distance import reduced

VERSION = 1  # raised with every change of a figure; kept distances of another version are not taken
FEWEST, MOST = 64, 2000  # pictures
DIRECTIONS = 64  # of the space at the most; a quarter of the pictures where they are fewer
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


class Reference:
    """Pictures to measure against.

    Args:
        pictures: (M, H, W, 3) uint8, M >= FEWEST.
    """

    def __init__(self, pictures: np.ndarray) -> None:
        self._pictures = pictures
        self.fingerprint = hashlib.sha256(pictures.tobytes()).hexdigest()[:24]

    @cached_property
    def _space(self) -> tuple[Whitening, Tensor]:
        """The space, and the features (M / 2, D) of those that are compared with; made when it is first needed."""
        features = describe(reduced(from_uint8(self._pictures)))
        space = Whitening(features[1::2], min(DIRECTIONS, len(features) // 4))
        return space, space(features[::2])

    def distance(self, pictures: np.ndarray) -> ReferenceDistance:
        """How far pictures (N, H, W, 3) uint8 are, N >= 3."""
        space, theirs = self._space
        found = kernel_distance(space(describe(reduced(from_uint8(pictures)))), theirs)
        return ReferenceDistance(found.value, found.standard_error)


def load_reference(source: str, side: int) -> Reference:
    """The reference of a folder or a sheet, reduced to the models' size.

    Args:
        source: a folder of pictures, each cut to a square around its middle, or a sheet of squares.
        side: pixels a side of what the models draw.

    Raises:
        UserError: nothing is there, it cannot be read, or it holds too few pictures.
    """
    path = Path(source)
    try:
        pictures = _of_folder(path, side) if path.is_dir() else _of_sheet(path, side)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"The reference pictures in {source!r} cannot be read: {error}.") from error
    if len(pictures) < FEWEST:
        raise UserError(f"{source!r} holds {len(pictures)} reference pictures, and {FEWEST} are the fewest.")
    return Reference(pictures)


def _of_folder(folder: Path, side: int) -> np.ndarray:
    """The first pictures by their names, each a square around the middle."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:MOST]
    pictures = [np.asarray(ImageOps.fit(Image.open(path).convert("RGB"), (side, side))) for path in paths]
    return np.stack(pictures) if pictures else np.empty((0, side, side, 3), np.uint8)


def _of_sheet(file: Path, side: int) -> np.ndarray:
    sheet = np.asarray(Image.open(file).convert("RGB"))
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    if sheet.shape[:2] != (rows * side, columns * side):
        raise ValueError(f"its sides are not multiples of the {side} pixels that the models draw")
    squares = sheet.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return squares.reshape(-1, side, side, 3)[:MOST]

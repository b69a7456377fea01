"""The figures that lie beside the bundled pair: how it was pretrained, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddpo.common.files import read_json, write_json
from ddpo.errors import UserError

FORMAT = 1  # of both files; those of before it have none


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    """Replace a file of figures."""
    write_json(path, {"format": FORMAT, **figures})


def read_figures(path: Path) -> dict[str, Any]:
    """What a file of figures holds.

    Raises:
        UserError: a newer version of this program wrote it.
    """
    figures = read_json(path)
    if figures.pop("format", FORMAT) > FORMAT:
        raise UserError(f"{path} was written by a newer version of this program; update it.")
    return figures

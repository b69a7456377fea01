"""A comparison kept in a folder as its files, and the one of church-64 that the page opens with.

`python -m ddpo.church64 comparison` makes that one. To read it takes neither torch nor a model.
"""

from __future__ import annotations

import functools
import json
import logging
from pathlib import Path

from PIL import Image

from ddpo.common.statistics import PairedStatistics
from ddpo.comparison.events import ComparisonResult, DiversityKept
from ddpo.comparison.files import ROLES, json_text, png_files
from ddpo.comparison.settings import ComparisonSettings, resolve
from ddpo.diffusion.catalogue import ASSETS
from ddpo.errors import UserError

BUNDLED = ASSETS / "church-64" / "comparison"
COMMAND = "python -m ddpo.church64 comparison"  # which makes it
RESULT = "result.json"
TOUR = ASSETS / "church-64" / "tour.webp"  # the seed that gained most on its way; `python -m ddpo.church64 tour`

logger = logging.getLogger("ddpo.comparison")


def save(result: ComparisonResult, folder: Path) -> None:
    """Write the pictures as PNGs, `base/seed-0000000007.png`, and `result.json` into a folder."""
    for name, content in png_files(result).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / RESULT).write_text(json_text(result), encoding="utf-8")


def load(folder: Path) -> ComparisonResult:
    """Read what `save` has written.

    Raises:
        UserError: the folder holds no such comparison, or a damaged one.
    """
    try:
        facts = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        comparison = resolve(ComparisonSettings(**facts["settings"]))
        base, tuned = ([_picture(folder / role / f"seed-{seed:010d}.png") for seed in facts["seeds"]] for role in ROLES)
        return ComparisonResult(
            comparison=comparison,
            base_images=base,
            tuned_images=tuned,
            base_scores=facts["base_scores"],
            tuned_scores=facts["tuned_scores"],
            statistics=PairedStatistics(**facts["statistics"]),
            seconds=facts["seconds_per_image"] * 2 * len(base),
            compute=facts["compute"],
            diversity=DiversityKept(**facts["diversity"]) if facts.get("diversity") else None,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"The folder {str(folder)!r} holds no comparison that can be read.") from error


def _picture(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


@functools.cache
def bundled() -> ComparisonResult | None:
    """The saved comparison of church-64, read once a process; None where its files are missing or damaged."""
    try:
        return load(BUNDLED)
    except UserError as error:
        logger.warning("The page opens without its saved comparison: %s", error)
        return None

"""Where the page keeps the pictures and scores of evaluations: a folder of its own, which does not grow for ever."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from ddpo.evaluation.results import Results
from ddpo.evaluation.store import CellStore

FOLDER = Path("evaluations/page")  # apart from what the command line keeps, of which nothing is ever removed
MOST_BYTES = 2_000_000_000  # 200,000 pictures of church-64, 10,000 of church-256


def store() -> CellStore:
    """The cells that are kept, in $DDPO_EVALUATIONS where that is set."""
    return CellStore(Path(os.environ.get("DDPO_EVALUATIONS") or FOLDER))


def tidy(root: Path, in_use: Results, most: int = MOST_BYTES) -> None:
    """Remove the cells that were not used for longest, until all take no more than so many bytes.

    Args:
        root: of the store.
        in_use: whose cells stay, whatever they take.
        most: bytes.
    """
    found = []
    with suppress(OSError):
        for folder in root.iterdir():
            with suppress(OSError):
                found.append((folder.stat().st_mtime, _bytes(folder), folder))
    total = sum(size for _, size, _ in found)
    stays = {cell.key for cell in in_use.cells}
    for _, size, folder in sorted(found):
        if total <= most:
            return
        if folder.name not in stays:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size


def touch(root: Path, results: Results) -> None:
    """Note that the cells of these results were used."""
    for cell in results.cells:
        with suppress(OSError):
            os.utime(root / cell.key)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())

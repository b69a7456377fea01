"""Pictures, scores and measures of cells on disk, so that nothing is drawn twice and little is in memory.

    <root>/<key of the pictures>/facts.json                    what decided them, for people
                                 pictures-<first seed>-<n>.npz   a batch: seeds, pictures, what it took to draw them
                                 scores-<key of the scorer>.json   seed to score
                                 note-<key>.json                   whatever else was computed from the pictures

Every file takes its place in one step, so that a kill leaves it whole or away. One that is damaged counts as away.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ddpo.common.files import read_json, replacing, storage_error, write_json
from ddpo.evaluation.keys import Facts, digest

DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Drawn:
    """Pictures of a cell, in the order of the seeds that were asked for."""

    pictures: np.ndarray  # (N, H, W, 3) uint8
    seconds: float  # for a picture: the median over the batches that they were drawn in
    evaluations: int  # of the network, for a picture


class CellStore:
    """The folder of all cells."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def cell(self, facts: Facts) -> StoredCell:
        """What there is of the cell whose pictures these facts decide.

        Raises:
            UserError: the folder cannot be made.
        """
        key = digest(facts)
        folder = self.root / key
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "facts.json").exists():
                write_json(folder / "facts.json", facts)
        return StoredCell(folder, key)

    def open(self, key: str) -> StoredCell:
        """The cell of a key that `cell` gave."""
        return StoredCell(self.root / key, key)


class StoredCell:
    """One cell on disk. Batches are looked at once; so two objects of one folder do not see each other's."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self._where: dict[int, Path] = {}
        for path in sorted(folder.glob("pictures-*.npz")):
            with suppress(*DAMAGED), np.load(path, allow_pickle=False) as batch:
                self._where |= dict.fromkeys(map(int, batch["seeds"]), path)

    def missing(self, seeds: Sequence[int]) -> list[int]:
        """The seeds, of those, that are still to be drawn."""
        return [seed for seed in seeds if seed not in self._where]

    def add(self, seeds: Sequence[int], pictures: np.ndarray, seconds: float, evaluations: int) -> None:
        """Keep a batch.

        Args:
            seeds: n of them.
            pictures: (n, H, W, 3) uint8.
            seconds: that all of them took.
            evaluations: of the network, for each.

        Raises:
            UserError: the disk refuses.
        """
        path = self.folder / f"pictures-{seeds[0]:010d}-{len(seeds)}.npz"
        with _writing(self.folder), replacing(path) as file:
            np.savez_compressed(
                file, seeds=np.array(seeds, np.int64), pictures=pictures, took=np.array([seconds, evaluations])
            )
        self._where |= dict.fromkeys(seeds, path)

    def load(self, seeds: Sequence[int]) -> Drawn | None:
        """The pictures of seeds; None where one is away, and then `missing` tells which, damaged ones included."""
        found: dict[int, np.ndarray] = {}
        seconds, evaluations = [], 0
        for path in dict.fromkeys(self._where.get(seed) for seed in seeds):
            batch = _read(path) if path else None
            if batch is None:
                self._where = {seed: place for seed, place in self._where.items() if place != path}
                continue
            found |= dict(zip(map(int, batch["seeds"]), batch["pictures"], strict=True))
            seconds.append(float(batch["took"][0]) / len(batch["seeds"]))
            evaluations = int(batch["took"][1])
        if not all(seed in found for seed in seeds):
            return None
        return Drawn(np.stack([found[seed] for seed in seeds]), float(np.median(seconds)), evaluations)

    def scores(self, scorer: str) -> dict[int, float]:
        """The scores that there are by the scorer of that key, by seed."""
        with suppress(*DAMAGED, TypeError):
            return {int(seed): float(score) for seed, score in read_json(self._scores(scorer)).items()}
        return {}

    def add_scores(self, scorer: str, scores: Mapping[int, float]) -> None:
        """Keep scores beside those that there are.

        Raises:
            UserError: the disk refuses.
        """
        all_of_them = {**self.scores(scorer), **scores}
        with _writing(self.folder):
            write_json(self._scores(scorer), {str(seed): score for seed, score in sorted(all_of_them.items())})

    def note(self, key: str) -> dict[str, Any] | None:
        """What was kept under a key; None where nothing was."""
        with suppress(*DAMAGED):
            return read_json(self.folder / f"note-{key}.json")
        return None

    def add_note(self, key: str, value: dict[str, Any]) -> None:
        """Keep a JSON object under a key.

        Raises:
            UserError: the disk refuses.
        """
        with _writing(self.folder):
            write_json(self.folder / f"note-{key}.json", value)

    def _scores(self, scorer: str) -> Path:
        return self.folder / f"scores-{scorer}.json"


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """A batch; None where the file is damaged."""
    with suppress(*DAMAGED), np.load(path, allow_pickle=False) as batch:
        whole = {name: batch[name] for name in ("seeds", "pictures", "took")}
        if len(whole["seeds"]) == len(whole["pictures"]) > 0:
            return whole
    return None


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Within the block, what the disk refuses becomes a sentence."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, folder, "An evaluation's pictures and scores") from error

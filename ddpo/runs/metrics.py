"""The figures of a run as they lie in its folder: a JSON line an optimizer step, an epoch and a look at held-out seeds.

They are in one file, or in parts.

Numbers that are not finite are null there. A line that is torn, or says something else, is left out.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ddpo.common import typed
from ddpo.common.files import finite, json_bytes, replacing
from ddpo.common.storage import Storage
from ddpo.runs import metric_parts
from ddpo.runs.growing_file import GrowingFileCache
from ddpo.training.config import TrainConfig
from ddpo.training.events import EpochMetrics, UpdateMetrics
from ddpo.training.held_out_curve import HeldOutEvaluation, best_of

T = TypeVar("T")
logger = logging.getLogger("ddpo.runs")


def update_line(step: int, epoch: int, update: UpdateMetrics) -> dict[str, Any]:
    """What is written of an optimizer step."""
    return {"kind": "update", "step": step, "epoch": epoch, **asdict(update)}


def epoch_line(epoch: EpochMetrics) -> dict[str, Any]:
    """What is written of an epoch."""
    return {"kind": "epoch", **asdict(epoch)}


def evaluation_line(evaluation: HeldOutEvaluation) -> dict[str, Any]:
    """What is written of a look at the held-out seeds."""
    return {"kind": "evaluation", **evaluation.as_dict()}


def epoch_facts(epoch: EpochMetrics) -> dict[str, Any]:
    """The same, ready for JSON: None stands for numbers that are not finite."""
    facts: dict[str, Any] = finite(epoch_line(epoch))
    return facts


def held_out_facts(curve: Sequence[HeldOutEvaluation], config: TrainConfig) -> dict[str, Any] | None:
    """The newest look at the held-out seeds and the best, ready for JSON; None where there is none."""
    best = best_of(curve, config)
    if best is None:
        return None
    facts: dict[str, Any] = finite({"last": curve[-1].as_dict(), "best": best.as_dict()})
    return facts


def read_epoch(line: dict[str, Any]) -> EpochMetrics:
    """The epoch that a line tells of, perhaps an earlier version's, which lacks a figure or two.

    Raises:
        ValueError: an entry is of another type; the message names it.
    """
    return typed.read(EpochMetrics, {"step": 0, "epochs": 0, "samples": 0, "reward_weight": 1.0, **line})


@dataclass(frozen=True)
class MetricsFiles:
    """The metrics in a run folder. What writes raises OSError where the disk refuses."""

    folder: Path

    def lines(self) -> list[dict[str, Any]]:
        """All lines that are whole, in the order of their steps."""
        return [line for line, _ in self._lines(metric_parts.read_parts(self.folder))]

    def epochs(self) -> list[EpochMetrics]:
        """The epochs among them."""
        return self._records(_epochs, _epochs_of)

    def evaluations(self) -> list[HeldOutEvaluation]:
        """The looks at the held-out seeds among them."""
        return self._records(_evaluations, _evaluations_of)

    def append(self, lines: list[dict[str, Any]], storage: Storage) -> None:
        """Add lines; the earlier ones are as they were where that fails."""
        if storage.uses_parts:
            return metric_parts.write_part(self.folder, [(line, json_bytes(line)) for line in lines], storage)
        for line in lines:
            _append_line(self._file, json_bytes(line))
        return None

    def truncate(self, step: int, storage: Storage) -> None:
        """Keep the lines up to a step, the one that training goes on from."""
        kept = [(line, raw) for line, raw in _whole_lines(self._file) if metric_parts.step_of(line) <= step]
        metric_parts.cut_parts(self.folder, step, storage)
        if storage.uses_parts:  # those of a run that was begun on a disk go where more can be added to them
            metric_parts.write_part(self.folder, kept, storage)
            self._file.unlink(missing_ok=True)
            return
        with replacing(self._file) as file:
            file.write(b"".join(raw for _, raw in kept))

    def _records(self, cache: GrowingFileCache[T], read: Callable[[list[metric_parts.Line]], list[T]]) -> list[T]:
        parts = metric_parts.read_parts(self.folder)
        if parts:
            return read(self._lines(parts))
        try:
            return list(cache.get(self._file))
        except OSError:
            return []

    def _lines(self, parts: list[metric_parts.Line]) -> list[metric_parts.Line]:
        lines = list(_whole_lines(self._file))
        return metric_parts.without_doubles([*lines, *parts]) if parts else lines

    @property
    def _file(self) -> Path:
        return self.folder / "metrics.jsonl"


def _whole_lines(path: Path) -> Iterator[metric_parts.Line]:
    try:
        content = path.read_bytes()
    except OSError:
        return
    yield from metric_parts.lines_of(content)


def _epochs_of(lines: list[metric_parts.Line]) -> list[EpochMetrics]:
    return _read(lines, "epoch", read_epoch)


def _evaluations_of(lines: list[metric_parts.Line]) -> list[HeldOutEvaluation]:
    return _read(lines, "evaluation", HeldOutEvaluation.from_dict)


def _read(lines: list[metric_parts.Line], kind: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
    found = []
    for line, _ in lines:
        if line.get("kind") == kind:
            try:
                found.append(read(line))
            except ValueError as error:
                logger.warning("A line of the metrics is left out: %s", error)
    return found


# Few of many lines, and the Train tab reads those of all runs in every look.
_epochs = GrowingFileCache(_epochs_of)
_evaluations = GrowingFileCache(_evaluations_of)


def _append_line(path: Path, line: bytes) -> None:
    """Add a line with one write, on a line of its own even where the last one is torn; all of it or nothing."""
    with path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise

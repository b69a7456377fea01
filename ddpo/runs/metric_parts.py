"""Metrics in parts: files of whole lines that are written once, for storage to which no line can be appended.

A part is named after the steps of its first and last line. A kill may leave a torn part, or two with the same lines:
lines that are not whole are left out, and of two for the same step and kind the first counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ddpo.common.files import FileCache, parse_json, replacing
from ddpo.common.storage import Storage, confirm

Line = tuple[dict[str, Any], bytes]  # what it says, and its bytes
FOLDER = "metrics"
LONGEST_LINE = 1 << 16  # bytes; an epoch's has 600


def lines_of(content: bytes) -> Iterator[Line]:
    """The lines that are whole."""
    for raw in content.splitlines(keepends=True):
        try:
            line = parse_json(raw) if raw.endswith(b"\n") and len(raw) < LONGEST_LINE else None
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line, raw


_parts = FileCache(lambda path: list(lines_of(path.read_bytes())))


def read_parts(folder: Path) -> list[Line]:
    """The lines of all parts of a run folder, in the order of their steps; [] where there are none."""
    found: list[Line] = []
    for path in _paths(folder):
        try:
            found += _parts.get(path)
        except OSError:
            continue
    return without_doubles(found)


def without_doubles(lines: Iterable[Line]) -> list[Line]:
    """The lines without those that tell again of a step and a kind, in the order of their steps."""
    kept: dict[tuple[Any, Any], Line] = {}
    for line, raw in lines:
        kept.setdefault((step_of(line), str(line.get("kind"))), (line, raw))
    return sorted(kept.values(), key=lambda entry: step_of(entry[0]))


def write_part(folder: Path, lines: list[Line], storage: Storage) -> None:
    """Write a part, and wait until it can be read back; nothing is written for no lines.

    Raises:
        OSError: the disk refuses, or what was written cannot be read back.
    """
    if not lines:
        return
    content = b"".join(raw for _, raw in lines)
    path = folder / FOLDER / f"{step_of(lines[0][0]):010d}-{step_of(lines[-1][0]):010d}.jsonl"
    with replacing(path, storage) as file:
        file.write(content)
    confirm(path, lambda: path.read_bytes() == content)


def cut_parts(folder: Path, step: int, storage: Storage) -> None:
    """Keep the lines up to a step. A kill in between leaves lines too many, and the next call removes them.

    Raises:
        OSError: the disk refuses.
    """
    for path in _paths(folder):
        first, last = (int(number) for number in path.stem.split("-"))
        if last <= step:
            continue
        if first <= step:
            write_part(folder, [entry for entry in _parts.get(path) if step_of(entry[0]) <= step], storage)
        path.unlink(missing_ok=True)
        confirm(path, lambda path=path: not path.exists())  # type: ignore[misc]


def _paths(folder: Path) -> list[Path]:
    paths = (folder / FOLDER).glob("*-*.jsonl")
    return sorted(path for path in paths if path.stem.replace("-", "", 1).isdecimal())


def step_of(line: dict[str, Any]) -> int:
    """The step that a line tells of; 0 where it says none."""
    step = line.get("step", 0)
    return step if isinstance(step, int) and 0 <= step < 10**10 else 0

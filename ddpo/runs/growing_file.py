"""What is made of the lines of files that grow: of what was read before, only the end is looked at again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Generic, TypeVar

from ddpo.runs.metric_parts import Line, lines_of

T = TypeVar("T")
MARK = 256  # bytes before the place that was read up to; where they differ, the file is another one


@dataclass(frozen=True)
class _Known(Generic[T]):
    """How far a file was read, and what was made of it."""

    stamp: tuple[int, int, int] = (0, 0, 0)  # inode, time of change and size
    place: int = 0  # behind the last whole line
    mark: bytes = b""  # the bytes before it
    records: list[T] = field(default_factory=list)


class GrowingFileCache(Generic[T]):
    """Records of files to which whole lines are added; one that was written anew is read anew."""

    def __init__(self, read: Callable[[list[Line]], list[T]], most: int = 1000) -> None:
        """Prepare for `read`, of which the records of the `most` files that were read last are kept."""
        self.read, self._most = read, most
        self._kept: dict[Path, _Known[T]] = {}
        self._lock = Lock()

    def get(self, path: Path) -> list[T]:
        """What `read` makes of the lines of a file, in their order; not to be changed.

        Raises:
            OSError: there is no such file; besides, whatever `read` raises.
        """
        facts = path.stat()  # before it is read, so that a change in between is noticed the next time
        stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        known = self._kept.get(path)
        if known is None or known.stamp != stamp:
            with path.open("rb") as file:
                known = self._read_on(file, known or _Known(), stamp)
            with self._lock:
                self._kept.pop(path, None)
                self._kept[path] = known
                if len(self._kept) > self._most:
                    del self._kept[next(iter(self._kept))]
        return known.records

    def _read_on(self, file: IO[bytes], known: _Known[T], stamp: tuple[int, int, int]) -> _Known[T]:
        inode = os.fstat(file.fileno()).st_ino
        file.seek(max(0, known.place - len(known.mark)))
        if inode != known.stamp[0] or file.read(len(known.mark)) != known.mark:
            known = _Known()
            file.seek(0)
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        records = [*known.records, *self.read(list(lines_of(whole)))]
        return _Known(stamp, known.place + len(whole), (known.mark + whole)[-MARK:], records)

"""What is made of the lines of files that grow: of what was read before, only the end is looked at again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from ddpo.common.files import FileCache
from ddpo.runs.metric_parts import Line, lines_of

T = TypeVar("T")
MARK = 256  # bytes before the place that was read up to; where they differ, the file is another one


@dataclass(frozen=True)
class _Known(Generic[T]):
    """How far a file was read, and what was made of it."""

    inode: int = 0
    place: int = 0  # behind the last whole line
    mark: bytes = b""  # the bytes before it
    records: list[T] = field(default_factory=list)


class GrowingFileCache(Generic[T]):
    """Records of files to which whole lines are added; one that was written anew is read anew."""

    def __init__(self, read: Callable[[list[Line]], list[T]], most: int = 1000) -> None:
        """Prepare for `read`, of which the records of the `most` files that were read last are kept."""
        self.read = read
        self._files: FileCache[_Known[T]] = FileCache(self._read_on, most)

    def get(self, path: Path) -> list[T]:
        """What `read` makes of the lines of a file, in their order; not to be changed.

        Raises:
            OSError: there is no such file; besides, whatever `read` raises.
        """
        return self._files.get(path).records

    def _read_on(self, path: Path) -> _Known[T]:
        known: _Known[T] = self._files.known(path) or _Known()
        with path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            file.seek(known.place - len(known.mark))
            if inode != known.inode or file.read(len(known.mark)) != known.mark:
                known = _Known()
                file.seek(0)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        records = [*known.records, *self.read(list(lines_of(whole)))]
        return _Known(inode, known.place + len(whole), (known.mark + whole)[-MARK:], records)

"""What a mounted bucket holds and shows: some changes late, some before the bucket itself has them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

ALL = 1 << 30  # changes


@dataclass(frozen=True)
class Object:
    """What is at a path, and when it came there, in nanoseconds."""

    content: bytes
    changed: int


@dataclass
class _Earlier:
    """What is still seen at a path, and in how many looks yet."""

    looks: int
    seen: Object | None


class Store:
    """The bucket, and what this mount shows of it: some changes late, some before the bucket has them."""

    def __init__(self, folder: Path, late: int, keeps_back: bool) -> None:
        self.folder, self.late, self.keeps_back = folder, late, keeps_back
        self.mine: dict[str, Object | None] = {}  # what the bucket has not got, or has just been created
        self.waiting: list[tuple[str, Object | None]] = []
        self.fresh: set[str] = set()  # created, and not written yet
        self.earlier: dict[str, _Earlier] = {}

    def is_folder(self, path: str) -> bool:
        return (self.folder / path[1:]).is_dir()

    def look(self, path: str) -> Object | None:
        """What is seen at a path by who looks now."""
        earlier = self.earlier.get(path)
        if earlier is None:
            return self.newest(path)
        earlier.looks -= 1
        if earlier.looks == 0:
            del self.earlier[path]
        return earlier.seen

    def newest(self, path: str) -> Object | None:
        """What was put there last."""
        if path in self.mine:
            return self.mine[path]
        place = self.folder / path[1:]
        try:
            return Object(place.read_bytes(), place.stat().st_mtime_ns)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def create(self, path: str) -> None:
        """Have an empty file for who writes it, which is none yet for others."""
        if self.newest(path) is None:
            self.fresh.add(path)
            self.mine[path] = Object(b"", time.time_ns())

    def put(self, path: str, content: bytes | None) -> None:
        """Put an object in its place, or take it away."""
        if self.late:
            earlier = self.earlier.get(path)
            before = None if path in self.fresh else self.newest(path)
            self.earlier[path] = _Earlier(self.late, earlier.seen if earlier else before)
        self.fresh.discard(path)
        made = None if content is None else Object(content, time.time_ns())
        self.waiting.append((path, made))
        self.mine[path] = made
        if not self.keeps_back:
            self.hand_over(ALL)

    def hand_over(self, count: int) -> None:
        """Have the bucket get so many of the changes that it has not got yet, in the worst order: removals first."""
        for _ in range(min(count, len(self.waiting))):
            path, made = self.waiting.pop(self._next())
            self._send(path, made)
            if path not in {waiting for waiting, _ in self.waiting}:
                self.mine.pop(path, None)

    def _next(self) -> int:
        """The oldest removal of what the bucket has; else the oldest change."""
        written: set[str] = set()
        for number, (path, made) in enumerate(self.waiting):
            if made is None and path not in written:
                return number
            written.add(path)
        return 0

    def _send(self, path: str, made: Object | None) -> None:
        place = self.folder / path[1:]
        if made is None:
            place.unlink(missing_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        part = self.folder.with_name(f"{self.folder.name}.part")
        part.write_bytes(made.content)
        part.replace(place)

    def names(self, path: str) -> set[str]:
        """What a folder is seen to hold."""
        above = path.rstrip("/") + "/"
        there = {above + entry.name for entry in (self.folder / path[1:]).iterdir()}
        other = {name for name in (*self.mine, *self.earlier) if name.rpartition("/")[0] + "/" == above}
        seen = (name for name in there | other if self.is_folder(name) or self.look(name) is not None)
        return {name[len(above) :] for name in seen}

"""Files that a kill at any moment leaves whole, and sentences for what a disk refuses."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import IO, Any, Generic, TypeVar

from ddpo.common.storage import FULL, PLAIN, Storage, confirm, open_new
from ddpo.errors import UserError

T = TypeVar("T")
CHUNK = 1 << 20  # bytes read at once
LARGEST_JSON = 16 << 20  # bytes; a run's files have a few kB
AHEAD = ".new"  # ends the name of a file that is written before the one that it stands for


@contextmanager
def replacing(path: Path, storage: Storage = PLAIN) -> Iterator[IO[bytes]]:
    """A file to write to that takes the path's place in one step when the block ends, and only then.

    Nothing is left of it where the block fails. After a kill a `.part` beside the path may remain, never a torn path.
    The folder is made where it is missing.

    Where the storage cannot rename, the path itself is written: a kill leaves it torn, so it must hold nothing that is
    still needed.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part") if storage.renames else path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open_new(part, storage) as file:
            yield file
            sync(file, storage)
        if part != path:
            part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _sync_folder(path.parent)


def sync(file: IO[bytes], storage: Storage = PLAIN) -> None:
    """Have everything that was written to a file on the disk itself, where the storage can."""
    file.flush()
    if storage.syncs:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk; not every file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def json_bytes(value: Any, indent: int | None = None) -> bytes:
    """Strict JSON with a newline at its end; numbers that are not finite, which it has no words for, become null."""
    return (json.dumps(finite(value), indent=indent, allow_nan=False) + "\n").encode()


def finite(value: Any) -> Any:
    """A value ready for JSON: None stands for numbers that are not finite, and lists for tuples."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal. Raises OSError where it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_json(
    path: Path,
    value: dict[str, Any],
    even_when_full: bool = False,
    storage: Storage = PLAIN,
    confirmed: bool = True,
) -> None:
    """Write a JSON file so that `read_json` finds the old content or the new, whenever this process is killed.

    Args:
        path: the file.
        value: what it will hold.
        even_when_full: on a full disk, write over the file that is there, in its own blocks, rather than give up. For
            the small file that has to say that the disk is full.
        storage: what works there.
        confirmed: on anything but a plain disk, read it back, and wait until that gives what was written.

    Raises:
        OSError: the disk refuses, or what was written cannot be read back.
    """
    content = json_bytes(value, indent=2)
    if not storage.renames:
        return _write_twice(path, content, storage, confirmed)
    try:
        _write_whole(path, content, storage, confirmed)
    except OSError as error:
        if not (even_when_full and storage.plain and is_full(error) and path.exists()):
            raise
        with path.open("r+b", buffering=0) as there:
            there.write(content.ljust(path.stat().st_size))  # blanks behind the end are still JSON


def _write_whole(path: Path, content: bytes, storage: Storage, confirmed: bool) -> None:
    with replacing(path, storage) as file:
        file.write(content)
    if confirmed and not storage.plain:
        confirm(path, lambda: path.read_bytes() == content)


def _write_twice(path: Path, content: bytes, storage: Storage, confirmed: bool) -> None:
    """Beside the path first: there is a whole one of the two at every moment."""
    ahead = path.with_name(path.name + AHEAD)
    _write_whole(ahead, content, storage, confirmed)
    _write_whole(path, content, storage, confirmed)
    with suppress(OSError):
        ahead.unlink()


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file holds; where it is torn or missing, what was written ahead of it.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no JSON object.
    """
    try:
        return _read_json(path)
    except (FileNotFoundError, ValueError):
        with suppress(OSError, ValueError):
            return _read_json(path.with_name(path.name + AHEAD))
        raise


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"larger than {LARGEST_JSON >> 20} MB")
    value = parse_json(path.read_bytes())
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def parse_json(content: bytes) -> Any:
    """What JSON says; texts in it can be written again.

    Raises:
        ValueError: it is none, it is nested without an end, or a text holds half a character.
    """
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if b"\\ud" in content.lower():  # half of a pair may stand there alone, which no answer could hold
        json.dumps(value, ensure_ascii=False).encode()
    return value


class FileCache(Generic[T]):
    """What is read from files, kept until a file is another one, by its inode, time of change and size."""

    def __init__(self, read: Callable[[Path], T], most: int = 1000) -> None:
        """Prepare for `read`, of which the results of the `most` files that were read last are kept."""
        self.read, self._most = read, most
        self._kept: dict[Path, tuple[tuple[int, int, int], T]] = {}
        self._lock = Lock()

    def known(self, path: Path) -> T | None:
        """What `read` made of a file when it was read last, whatever has become of it since; None where it was not."""
        kept = self._kept.get(path)
        return None if kept is None else kept[1]

    def get(self, path: Path) -> T:
        """What `read` makes of a file: the same object each time, so not to be changed.

        Raises:
            OSError: there is no such file; besides, whatever `read` raises.
        """
        facts = path.stat()  # before it is read, so that a change in between is noticed the next time
        stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        kept = self._kept.get(path)
        if kept is None or kept[0] != stamp:
            kept = (stamp, self.read(path))
            with self._lock:
                self._kept.pop(path, None)
                self._kept[path] = kept
                if len(self._kept) > self._most:
                    del self._kept[next(iter(self._kept))]
        return kept[1]


def is_full(error: OSError) -> bool:
    """Whether it was for want of room."""
    return error.errno in FULL


def storage_error(error: OSError, folder: Path, what: str) -> UserError:
    """A sentence for what a disk refused.

    Args:
        error: what was raised.
        folder: where it was to be written.
        what: what was to be written, as the subject of a sentence: "The checkpoint of step 3".
    """
    if is_full(error):
        return UserError(f"{what} could not be written, because the disk that holds {folder} is full; make room there.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(
            f"{what} could not be written, because {folder} gives no permission to; allow it or choose another folder."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return UserError(f"{what} could not be written, because {folder} is no folder; choose another one.")
    reason = error.strerror or type(error).__name__
    return UserError(f"{what} could not be written to {folder} ({reason}); see to that disk or choose another folder.")

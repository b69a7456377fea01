"""Many uploaded pictures, and zips of them: read one after another, in memory and within bounds.

Nothing of a zip is written to the disk, so its names are for reading only.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from ddpo.errors import UserError
from ddpo.ui.shared.carried import carried
from ddpo.ui.shared.uploads import MAX_BYTES, read_picture

MOST_PICTURES = 64  # that are scored at once
MOST_ENTRIES = 1000  # of a zip, pictures or not
MOST_UNPACKED = 200_000_000  # bytes of all entries together
MOST_DIRECTORY = 1_000_000  # bytes of a zip's list of entries, which is read before anything is counted
LONGEST_NAME = 80  # characters that are shown
_END, _END_SIZE, _COMMENT = b"PK\5\6", 22, 65535  # of a zip, by APPNOTE.TXT 4.3.16
_LOCATOR_64 = b"PK\6\7"  # of the end of a zip of more than 4 GB
_TROUBLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Found:
    """One file: its picture, or why it has none."""

    name: str  # for people
    picture: Image.Image | None
    problem: str = ""
    settings: dict[str, str] | None = None  # that the picture carries, see `carried`


def read(paths: Sequence[str]) -> Iterator[Found]:
    """The pictures in uploaded files, one in memory at a time; of what cannot be read, a sentence.

    Args:
        paths: of pictures and zips.
    """
    for place, found in enumerate(_all(paths)):
        if place >= MOST_PICTURES:
            yield Found("the rest", None, f"{MOST_PICTURES} files are scored at once; upload the others apart.")
            return
        yield found


def _all(paths: Sequence[str]) -> Iterator[Found]:
    for path in paths:
        name = shown_name(Path(path).name)
        try:
            with Path(path).open("rb") as file:
                if file.read(4) == b"PK\3\4":
                    yield from _of_zip(file, name)
                else:
                    file.seek(0)
                    yield _picture(file, name)
        except OSError:
            yield Found(name, None, "It is gone, as uploads are kept for a day; upload it again.")


def _picture(file: IO[bytes], name: str) -> Found:
    try:
        picture = read_picture(file)
        return Found(name, picture, settings=carried(file))
    except UserError as error:
        return Found(name, None, str(error))


def _of_zip(file: IO[bytes], name: str) -> Iterator[Found]:
    unpacked = 0
    try:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if _is_wanted(entry)]
            if len(entries) > MOST_ENTRIES:
                raise UserError(f"The zip holds more than {MOST_ENTRIES:,} files; upload some of them.")
            for entry in entries:
                content, problem = _unpacked(archive, entry, MOST_UNPACKED - unpacked)
                unpacked += len(content)
                inner = shown_name(f"{name}: {PurePosixPath(entry.filename).name}")
                yield Found(inner, None, problem) if problem else _picture(io.BytesIO(content), inner)
                if unpacked >= MOST_UNPACKED:
                    raise UserError(f"The zip unpacks to more than {MOST_UNPACKED // 10**6} MB; upload some of it.")
    except UserError as error:
        yield Found(name, None, str(error))
    except _TROUBLE:
        yield Found(name, None, "The zip is damaged and cannot be opened.")


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    """Not a folder, and not what a Mac or a hidden file adds."""
    parts = PurePosixPath(entry.filename).parts
    return bool(parts) and not entry.is_dir() and parts[0] != "__MACOSX" and not parts[-1].startswith(".")


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> tuple[bytes, str]:
    """The bytes of an entry, or why it is skipped; no more are unpacked than allowed, whatever it says of its size."""
    if entry.flag_bits & 1:
        return b"", "It is encrypted, so it was skipped."
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return b"", "It is packed in a way that is not read here, so it was skipped."
    limit = min(MAX_BYTES, most)
    try:
        with archive.open(entry) as file:
            content = file.read(limit + 1)
    except _TROUBLE:
        return b"", "It is damaged within the zip, so it was skipped."
    if len(content) > limit:
        return content, f"It is larger than {limit / 1e6:.0f} MB, so it was skipped."
    return content, ""


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a zip whose list of entries would fill the memory.

    Raises:
        UserError: it is too long.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_SIZE - _COMMENT))
    tail = file.read()
    place = tail.rfind(_END)
    length = int.from_bytes(tail[place + 12 : place + 16], "little") if place >= 0 else 0
    file.seek(0)
    if length > MOST_DIRECTORY or _LOCATOR_64 in tail:
        raise UserError("The zip holds too many files, or is of a kind for more than 4 GB; upload fewer pictures.")


def shown_name(name: str) -> str:
    """A name as people can read it: no control characters, and short."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name.encode("utf-8", "replace").decode())
    return plain if len(plain) <= LONGEST_NAME else plain[: LONGEST_NAME - 1] + "…"

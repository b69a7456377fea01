"""What people call a run, and what they note of it: beside its other files, and never needed to train it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ddpo.common.files import FileCache, read_json, storage_error, write_json
from ddpo.common.words import shown
from ddpo.errors import UserError
from ddpo.runs.folder import Run

FORMAT = 1
FILE = "label.json"
LONGEST_NAME, LONGEST_NOTE = 80, 2000  # characters


@dataclass(frozen=True)
class Label:
    """A name and a note; "" where there is none."""

    name: str = ""
    note: str = ""


def label_of(run: Run) -> Label:
    """The label of a run; an empty one where it has none, or one that cannot be read."""
    with suppress(OSError, ValueError):
        return _labels.get(run.folder / FILE)
    return Label()


def rename(run: Run, name: Any) -> None:
    """Give a run a name; "" takes it away. The id stays what it is.

    Raises:
        UserError: it is no line of at most LONGEST_NAME characters, or the disk refuses.
    """
    _write(run, replace(label_of(run), name=_checked("name", name, LONGEST_NAME, lines=False)))


def annotate(run: Run, note: Any) -> None:
    """Note something of a run; "" takes the note away.

    Raises:
        UserError: it is no text of at most LONGEST_NOTE characters, or the disk refuses.
    """
    _write(run, replace(label_of(run), note=_checked("note", note, LONGEST_NOTE, lines=True)))


def _checked(what: str, text: Any, longest: int, lines: bool) -> str:
    if not isinstance(text, str) or not all(letter.isprintable() or (lines and letter == "\n") for letter in text):
        kind = "text" if lines else "one line of text"
        raise UserError(f"The {what} of a run must be {kind}, and {shown(text)} is not.")
    text = text.strip()
    if len(text) > longest:
        raise UserError(
            f"The {what} of a run must have at most {longest:,} characters, and {len(text):,} are too many."
        )
    return text


def _write(run: Run, label: Label) -> None:
    path = run.folder / FILE
    try:
        if label == Label():
            path.unlink(missing_ok=True)
        else:
            write_json(path, {"format": FORMAT, **asdict(label)}, storage=run.storage)
    except OSError as error:
        raise storage_error(error, run.folder, "The name of the run") from error


def _read(path: Path) -> Label:
    facts = read_json(path)
    name, note = facts.get("name", ""), facts.get("note", "")
    if not isinstance(name, str) or not isinstance(note, str):
        raise ValueError("a label is none")
    return Label(name[:LONGEST_NAME], note[:LONGEST_NOTE])


_labels = FileCache(_read, most=10_000)

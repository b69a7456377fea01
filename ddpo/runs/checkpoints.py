"""Checkpoints that a kill at any moment leaves whole, and that are checked before anything goes on from them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch

from ddpo.common.files import read_json, replacing, sha256, storage_error, sync, write_json
from ddpo.common.storage import PLAIN, Storage, confirm
from ddpo.errors import UserError

FORMAT = 1
SETTLE = 60.0  # seconds until an object store has what it was given: hf-mount over NFS holds it back for 30
STALE = 10.0  # seconds that an object store may show an earlier content


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write the state beside the path, then put it in its place in one step. The folder is made where it is missing.

    Raises:
        OSError: the disk refuses; what was at the path is still there.
    """
    with replacing(path) as file:
        _save(state, file)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The state that was saved last, or None where there is none. Loads tensors and numbers only, never code."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A state to go on from."""

    state: dict[str, Any]
    step: int
    epoch: int
    notice: str | None  # one sentence, where a newer checkpoint was damaged


class CheckpointStore:
    """The last checkpoints of a run: `0000000042.pt` for step 42, and beside it a JSON with its size and checksum.

    Args:
        folder: where they are; made when the first is saved.
        keep: how many are kept, at least 1; on anything but a plain disk also all that are younger than SETTLE, and
            the one before them, so that the store holds a whole one even where it has not got the newest yet.
        storage: what works in that folder.
    """

    def __init__(self, folder: Path, keep: int = 2, storage: Storage = PLAIN) -> None:
        self.folder, self.keep, self.storage = folder, keep, storage
        self._written: dict[int, float] = {}  # moment at which this process saved a step
        self._begun = time.monotonic()

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, whole or not, in order."""
        return sorted(int(path.stem) for path in self.folder.glob("*.pt") if path.stem.isdecimal())

    def save(self, state: dict[str, Any], step: int, epoch: int) -> None:
        """Write a checkpoint, then drop the oldest, and those of later steps, which this one has taken another way to.

        Args:
            state: tensors, numbers, texts, and lists and dictionaries of them.
            step: steps done.
            epoch: epochs done.

        Raises:
            UserError: the disk is full or refuses; the earlier checkpoints are as they were.
        """
        facts: dict[str, Any] = {"format": FORMAT, "step": step, "epoch": epoch}
        try:
            self._drop_leftovers()
            if self.storage.renames:
                self._save_beside(state, step, facts)
                if not self.storage.plain:
                    confirm(self._path(step), lambda: self._verified(step) is not None)
            elif self._verified(step) is None:  # what is whole is never written over
                self._save_in_place(state, step, facts)
        except OSError as error:
            raise storage_error(error, self.folder, f"The checkpoint of step {step}") from error
        self._written[step] = time.monotonic()
        self._prune(step)

    def _save_beside(self, state: dict[str, Any], step: int, facts: dict[str, Any]) -> None:
        path, sidecar = self._path(step), self._sidecar(step)
        with replacing(path, self.storage) as file:
            facts["sha256"], facts["size"] = _save(state, file)
            sync(file, self.storage)
            # Where a step is saved again, the old file is there for an instant more, and a kill may leave it.
            facts["replaces"] = list(self._accepted(sidecar)) if path.exists() else []
            write_json(sidecar, facts, storage=self.storage)

    def _save_in_place(self, state: dict[str, Any], step: int, facts: dict[str, Any]) -> None:
        """The JSON comes last: without it a checkpoint was never saved, and a kill may leave half of it."""
        path = self._path(step)
        with replacing(path, self.storage) as file:
            facts["sha256"], facts["size"] = _save(state, file)
        confirm(path, lambda: sha256(path) == facts["sha256"])
        write_json(self._sidecar(step), {**facts, "replaces": []}, storage=self.storage)

    def load_newest(self, device: torch.device | str = "cpu") -> LoadedCheckpoint | None:
        """The newest whole checkpoint, None where none was ever saved. Tensors and numbers only, never code.

        Raises:
            UserError: all are damaged, or a newer version wrote them.
        """
        damaged: list[int] = []
        for step in reversed(self.steps()):
            if not self.storage.renames and not self._was_saved(step):
                continue
            facts = self._verified(step) or self._verified_later(step)
            state = _load(self._path(step), device) if facts else None
            epoch = facts.get("epoch") if facts else None
            if isinstance(epoch, int) and isinstance(state, dict):
                return LoadedCheckpoint(state, step, epoch, _notice(damaged, step))
            damaged.append(step)
        if damaged:
            raise UserError(f"{_named(damaged)}, and there is no other; start the run anew.")
        return None

    def _was_saved(self, step: int) -> bool:
        """Whether its JSON, which is written after the checkpoint where nothing can be renamed, is there."""
        with suppress(OSError, ValueError):
            return bool(read_json(self._sidecar(step)))
        return self._sidecar(step).exists()

    def _verified_later(self, step: int) -> dict[str, Any] | None:
        """As `_verified`, once an object store has had the time to show what is there by now."""
        if self.storage.plain:
            return None
        with suppress(OSError):
            confirm(self._path(step), lambda: self._verified(step) is not None, STALE)
        return self._verified(step)

    def _verified(self, step: int) -> dict[str, Any] | None:
        """What the JSON of a checkpoint says, None where the file is not what was saved."""
        try:
            facts = read_json(self._sidecar(step))
            if facts["format"] > FORMAT:
                raise UserError(
                    f"The checkpoint of step {step} was written by a newer version of this program (format "
                    f"{facts['format']}); update it to go on."
                )
            size = self._path(step).stat().st_size
            known = [checksum for checksum, expected in self._accepted(self._sidecar(step)) if expected == size]
            return facts if known and sha256(self._path(step)) in known else None
        except UserError:
            raise
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _accepted(self, sidecar: Path) -> Iterator[tuple[str, int]]:
        """Checksums and sizes, of which the file has one."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            facts = read_json(sidecar)
            yield facts["sha256"], facts["size"]
            yield from ((checksum, size) for checksum, size in facts["replaces"])

    def _prune(self, newest: int) -> None:
        steps = self.steps()
        earlier = [step for step in steps if step <= newest]
        with suppress(OSError):
            for step in set(steps) - set(earlier[-max(self.keep, self._unsettled(earlier) + 1) :]):
                self._path(step).unlink()
                self._sidecar(step).unlink(missing_ok=True)

    def _unsettled(self, steps: list[int]) -> int:
        """How many of these the store may not have yet."""
        if self.storage.plain:
            return 0
        now = time.monotonic()
        return sum(now - self._written.get(step, self._begun) < SETTLE for step in steps)

    def _drop_leftovers(self) -> None:
        """Remove what a kill left: parts, and JSONs whose checkpoint was never put in place."""
        jsons = self.folder.glob("*.json") if self.storage.plain else ()  # elsewhere a checkpoint may not show yet
        for path in [*self.folder.glob("*.part"), *jsons]:
            if path.suffix == ".part" or not path.with_suffix(".pt").exists():
                path.unlink(missing_ok=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:010d}.pt"

    def _sidecar(self, step: int) -> Path:
        return self.folder / f"{step:010d}.json"


class _HashingFile:
    """A file that knows the checksum and the size of what was written, and the error that stopped it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sha256, self.size = file, hashlib.sha256(), 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of the data."""
        try:
            self.file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.sha256.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Hand on what is held back."""
        self.file.flush()


def _save(state: dict[str, Any], file: IO[bytes]) -> tuple[str, int]:
    """Write a state; returns the checksum and the size of what was written."""
    hashing = _HashingFile(file)
    try:
        torch.save(state, cast("IO[bytes]", hashing))  # it calls nothing but these two
    except RuntimeError:  # torch's own, once a write has failed
        if hashing.error is None:
            raise
        raise hashing.error from None
    return hashing.sha256.hexdigest(), hashing.size


def _load(path: Path, device: torch.device | str) -> dict[str, Any] | None:
    """The state in a file, None where it holds code or cannot be read."""
    try:
        return load_checkpoint(path, device)
    except Exception:  # pickle's own errors, the disk's, those of a zip, and whatever a file makes torch trip over
        return None


def _named(damaged: list[int]) -> str:
    if len(damaged) == 1:
        return f"The checkpoint of step {damaged[0]} is damaged"
    return f"The checkpoints of steps {', '.join(map(str, damaged))} are damaged"


def _notice(damaged: list[int], step: int) -> str | None:
    return f"{_named(damaged)}; the run goes on from step {step}, which is whole." if damaged else None

"""What a run writes while it trains, in the way that its storage allows: metrics, and the result."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ddpo.common.files import replacing, sha256
from ddpo.common.storage import confirm
from ddpo.runs import metrics
from ddpo.runs.folder import Run
from ddpo.training.events import StepDone

SHARE = 0.05  # of the time, at the most, that goes into telling of steps on slow storage
INDEX = "model_index.json"  # a result is one once this is there


class RecordKeeper:
    """The metrics of a run: written line by line on a disk, and gathered where every writing makes a new file."""

    def __init__(self, run: Run) -> None:
        self._run, self._gathers = run, run.storage.uses_parts
        self._lines: list[dict[str, Any]] = []
        self._told_at, self._seconds = 0.0, 0.0

    def add(self, event: StepDone) -> None:
        """Keep what a step has to tell."""
        if event.update is not None:
            self._lines.append(metrics.update_line(event.step, event.epoch, event.update))
        if event.finished_epoch is not None:
            self._lines.append(metrics.epoch_line(event.finished_epoch))
        if event.evaluation is not None:
            self._lines.append(metrics.evaluation_line(event.evaluation))

    def is_due(self, event: StepDone) -> bool:
        """Whether it is time to write: always on a disk; elsewhere at the end of an epoch, or now and then."""
        if not self._gathers or event.finished_epoch is not None or event.evaluation is not None:
            return True
        return time.monotonic() - self._told_at > self._seconds / SHARE

    @contextmanager
    def telling(self) -> Iterator[None]:
        """A block that writes where the run stands; how long it takes decides when the next is due."""
        begun = time.monotonic()
        yield
        self._told_at = time.monotonic()
        self._seconds = self._told_at - begun

    def flush(self) -> None:
        """Write what was gathered.

        Raises:
            UserError: the disk refuses; what was gathered is kept for the next time.
        """
        if self._lines:
            self._run.append_metrics(*self._lines)
            self._lines = []


def new_result(run: Run) -> AbstractContextManager[Path]:
    """As `new_folder`, for the finetuned model."""
    return new_folder(run, run.result)


@contextmanager
def new_folder(run: Run, target: Path) -> Iterator[Path]:
    """An empty folder for a model, which takes its place in the run when the block ends, and only then.

    Raises:
        OSError: the disk refuses.
    """
    if run.storage.plain:
        with _beside(target) as folder:
            yield folder
    else:
        with tempfile.TemporaryDirectory() as local:
            yield Path(local)
            _put(run, target, Path(local))


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    part = target.with_name(f"{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        yield part
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _put(run: Run, folder: Path, local: Path) -> None:
    """Copy the files one by one, whole; the index goes first and comes last, so that half a model is none."""
    index = folder / INDEX
    if index.exists():
        index.unlink()
        confirm(index, lambda: not index.exists())
    files = [path for path in sorted(local.rglob("*")) if path.is_file()]
    for path in sorted(files, key=lambda path: path.name == INDEX):
        target, checksum = folder / path.relative_to(local), sha256(path)
        with path.open("rb") as source, replacing(target, run.storage) as file:
            shutil.copyfileobj(source, file, 1 << 20)
        confirm(target, lambda target=target, checksum=checksum: sha256(target) == checksum)  # type: ignore[misc]

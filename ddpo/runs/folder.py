"""One run folder: what the trainer writes, and the command line and the page read while it grows.

JSON files are replaced in one step and `metrics.jsonl` grows by whole lines, so that a reader never needs a lock.
What a disk does for that and an object store does not, `ddpo/common/storage.py` finds out; it is done in another way
then. Nothing that is slow is imported here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpo.common import leases, locks
from ddpo.common.files import FileCache, json_bytes, read_json, replacing, storage_error, write_json
from ddpo.common.statistics import PairedStatistics
from ddpo.common.storage import Storage, confirm, storage_of
from ddpo.errors import UserError
from ddpo.runs import metric_parts
from ddpo.training.config import TrainConfig

if TYPE_CHECKING:
    from ddpo.runs.checkpoints import CheckpointStore

FORMAT = 1
STATES = ("starting", "running", "stopped", "finished", "failed", "interrupted")
START_GRACE = 120.0  # seconds that a process may take from its start until it holds the lock


@dataclass(frozen=True)
class RunSpec:
    """What is trained on what, and how."""

    pair: str | None  # name in the catalogue, where the base is one of its
    base: str  # folder or Hub id of the base model
    reward: str
    recipe: str  # where the config came from
    config: TrainConfig


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands."""

    state: str  # one of STATES
    epoch: int  # done
    epochs: int
    step: int  # done
    steps: int
    seconds: float  # of training so far
    seconds_left: float | None  # None: not known
    error: str | None  # one sentence: why it failed
    notice: str | None  # one sentence
    updated: str  # ISO 8601, UTC
    pid: int | None
    host: str | None


@dataclass(frozen=True)
class ResultFacts:
    """Where a run stood when its result was written, which may be before where it stands now."""

    epoch: int  # done
    step: int  # done
    seconds: float  # of training
    statistics: PairedStatistics | None = None  # of the fixed seeds against the base, by the reward


@dataclass(frozen=True)
class Run:
    """A run folder. Made by `create_run`, `open_run` and `list_runs`."""

    folder: Path
    id: str
    spec: RunSpec
    created: str  # ISO 8601, UTC

    @property
    def root(self) -> Path:
        """The folder that it lies in, beside others."""
        return self.folder.parent

    @property
    def storage(self) -> Storage:
        """What works there; found out by writing, so to be asked for by who writes only."""
        return storage_of(self.root)

    @property
    def result(self) -> Path:
        """The finetuned model as a diffusers pipeline, once there is one."""
        return self.folder / "result"

    def has_result(self) -> bool:
        """Whether the finetuned model is there."""
        return (self.result / "model_index.json").is_file()

    def need_result(self) -> Path:
        """The folder of the finetuned model.

        Raises:
            UserError: it is not there yet.
        """
        if not self.has_result():
            raise UserError(f"The run {self.id} has no result yet; stop it, or wait until it is finished.")
        return self.result

    def result_facts(self) -> ResultFacts:
        """What is known of the result; of an earlier version's, that it is from where the run stands."""
        try:
            facts = read_json(self.folder / "result.json")
            statistics = PairedStatistics(**facts["statistics"]) if facts["statistics"] else None
            return ResultFacts(facts["epoch"], facts["step"], facts["seconds"], statistics)
        except (OSError, ValueError, KeyError, TypeError):
            status = self.status()
            return ResultFacts(status.epoch, status.step, status.seconds)

    def write_result_facts(self, facts: ResultFacts) -> None:
        """Put down what is known of the result; raises OSError where the disk refuses."""
        write_json(self.folder / "result.json", {"format": FORMAT, **asdict(facts)}, storage=self.storage)

    def result_epochs(self) -> list[dict[str, Any]]:
        """As `epochs`, up to that of the result."""
        last = self.result_facts().epoch
        return [line for line in self.epochs() if line["epoch"] <= last]

    def result_samples(self) -> list[tuple[int, Path]]:
        """As `samples`, up to the epoch of the result."""
        last = self.result_facts().epoch
        return [(epoch, path) for epoch, path in self.samples() if epoch <= last]

    @property
    def checkpoints(self) -> CheckpointStore:
        """Its checkpoints. Imports torch."""
        from ddpo.runs.checkpoints import CheckpointStore

        return CheckpointStore(self.folder / "checkpoints", storage=self.storage)

    def status(self) -> RunStatus:
        """Where it stands now: "interrupted" where its process is gone without having said so."""
        stored = self.stored_status()
        if not self._is_alive(stored):
            stored = self.stored_status()  # what it wrote last, where it ended between the two looks
            if stored.get("state") not in STATES or stored["state"] in ("starting", "running"):
                stored["state"] = "interrupted"
        return RunStatus(
            state=stored["state"],
            epoch=stored.get("epoch", 0),
            epochs=stored.get("epochs", self.spec.config.epochs),
            step=stored.get("step", 0),
            steps=stored.get("steps", 0),
            seconds=stored.get("seconds", 0.0),
            seconds_left=stored.get("seconds_left"),
            error=stored.get("error"),
            notice=stored.get("notice"),
            updated=stored.get("updated", self.created),
            pid=stored.get("pid"),
            host=stored.get("host"),
        )

    def is_about_to_train(self) -> bool:
        """Whether its process was started a moment ago."""
        stored = self.stored_status()
        return stored.get("state") == "starting" and bool(stored.get("started")) and self._is_alive(stored)

    def stored_status(self) -> dict[str, Any]:
        """The status as it was written last, {} where it cannot be read."""
        try:
            return read_json(self.folder / "status.json")
        except (OSError, ValueError):
            return {}

    def write_status(self, **changes: Any) -> None:
        """Change some fields of the stored status, also on a full disk; `updated` is set to now.

        Raises:
            UserError: the disk refuses.
        """
        unknown = changes.keys() - {*RunStatus.__dataclass_fields__, "started"}
        if unknown or changes.get("state", STATES[0]) not in STATES:
            raise TypeError(f"not a status: {changes}")
        status = {"format": FORMAT, **self.stored_status(), **changes, "updated": now_text()}
        try:
            write_json(self.folder / "status.json", status, even_when_full=True, storage=self.storage, confirmed=False)
        except OSError as error:
            raise storage_error(error, self.folder, "The status of the run") from error

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics; one that is torn is left out."""
        return [line for line, _ in self._metrics_lines()]

    def epochs(self) -> list[dict[str, Any]]:
        """The lines of the metrics that tell of an epoch; they are shared, so not to be changed."""
        parts = metric_parts.read_parts(self.folder)
        if parts:
            return [line for line, _ in self._metrics_lines(parts) if line.get("kind") == "epoch"]
        try:
            return list(_epochs.get(self._metrics_file))
        except OSError:
            return []

    def _metrics_lines(self, parts: list[metric_parts.Line] | None = None) -> list[metric_parts.Line]:
        parts = metric_parts.read_parts(self.folder) if parts is None else parts
        lines = list(_metrics_lines(self._metrics_file))
        return metric_parts.without_doubles([*lines, *parts]) if parts else lines

    def append_metrics(self, *lines: dict[str, Any]) -> None:
        """Add lines to the metrics. Numbers that are not finite are written as null.

        Raises:
            UserError: the disk refuses; the earlier lines are as they were.
        """
        try:
            if self.storage.uses_parts:
                return metric_parts.write_part(self.folder, [(line, json_bytes(line)) for line in lines], self.storage)
            for line in lines:
                _append_line(self._metrics_file, json_bytes(line))
        except OSError as error:
            raise storage_error(error, self.folder, "The metrics of the run") from error

    def truncate_metrics(self, step: int) -> None:
        """Keep the lines up to a step, the one that training goes on from.

        Raises:
            UserError: the disk refuses; the lines are as they were.
        """
        lines = [raw for line, raw in _metrics_lines(self._metrics_file) if line.get("step", 0) <= step]
        try:
            metric_parts.cut_parts(self.folder, step, self.storage)
            if self.storage.uses_parts:
                return self._turn_into_parts(step)
            with replacing(self._metrics_file) as file:
                file.write(b"".join(lines))
        except OSError as error:
            raise storage_error(error, self.folder, "The metrics of the run") from error

    def _turn_into_parts(self, step: int) -> None:
        """The lines up to a step, of a run that was begun on a disk, go where more can be added to them."""
        lines = [(line, raw) for line, raw in _metrics_lines(self._metrics_file) if line.get("step", 0) <= step]
        metric_parts.write_part(self.folder, lines, self.storage)
        self._metrics_file.unlink(missing_ok=True)

    def samples(self) -> list[tuple[int, Path]]:
        """The grids of the fixed seeds, each with the number of epochs done when it was drawn, in order."""
        pictures = (self.folder / "samples").glob("*.png")
        return sorted((int(path.stem), path) for path in pictures if path.stem.isdecimal())

    def request_stop(self) -> None:
        """Ask the process that trains to stop after its step.

        Raises:
            UserError: the disk refuses.
        """
        try:
            (self.folder / "stop").write_text("stop\n")  # an object store may take no empty file
        except OSError as error:
            raise storage_error(error, self.folder, "The request to stop") from error

    def stop_requested(self) -> bool:
        """Whether it has been asked to stop."""
        return (self.folder / "stop").exists()

    def clear_stop(self) -> None:
        """Forget the request to stop."""
        path = self.folder / "stop"
        path.unlink(missing_ok=True)
        if path.exists():  # an object store may show it for a while yet, and the run would stop
            confirm(path, lambda: not path.exists())

    def trainer(self) -> dict[str, Any] | None:
        """The facts of the process that trains it, by the lock of all runs here or a lease of its own; None: nobody."""
        holder = locks.holder(lock_path(self.root))
        return holder if holder and holder.get("id") == self.id else leases.holder(self.folder)

    def _is_alive(self, stored: dict[str, Any]) -> bool:
        if self.trainer() is not None:
            return True
        return stored.get("state") == "starting" and _age(stored.get("updated")) < START_GRACE

    @property
    def _metrics_file(self) -> Path:
        return self.folder / "metrics.jsonl"


def _metrics_lines(path: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The lines that are whole, and the bytes of each."""
    try:
        content = path.read_bytes()
    except OSError:
        return
    yield from metric_parts.lines_of(content)


def _read_epochs(path: Path) -> list[dict[str, Any]]:
    return [line for line, _ in _metrics_lines(path) if line.get("kind") == "epoch"]


_epochs = FileCache(_read_epochs)  # few of many lines, and the Train tab reads those of all runs in every look


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


def lock_path(root: Path) -> Path:
    """The lock of all runs in a folder."""
    return root / ".lock"


def now_text() -> str:
    """This moment in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _age(moment: Any) -> float:
    """Seconds since a moment; infinite where it cannot be read."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    except (TypeError, ValueError):
        return float("inf")

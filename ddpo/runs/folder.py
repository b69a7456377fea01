"""One run folder: what the trainer writes, and the command line and the page read while it grows.

JSON files are replaced in one step and `metrics.jsonl` grows by whole lines, so that a reader never needs a lock.
What a disk does for that and an object store does not, `ddpo/common/storage.py` finds out; it is done in another way
then. Nothing that is slow is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpo.common import leases, locks
from ddpo.common.files import FileCache, read_json, storage_error, write_json
from ddpo.common.storage import Storage, confirm, storage_of
from ddpo.errors import UserError
from ddpo.runs.metrics import MetricsFiles
from ddpo.runs.status import ACTIVE, ResultFacts, RunStatus, age, now_text
from ddpo.training.config import TrainConfig
from ddpo.training.events import EpochMetrics
from ddpo.training.held_out_curve import HeldOutEvaluation

if TYPE_CHECKING:
    from ddpo.runs.checkpoints import CheckpointStore

FORMAT = 1
START_GRACE = 120.0  # seconds that a process may take from its start until it holds the lock


class RunGone(UserError):  # noqa: N818, it is no error of the user's
    """The folder of a run was removed while something was still to be written there."""


@dataclass(frozen=True)
class RunSpec:
    """What is trained on what, and how."""

    pair: str | None  # name in the catalogue, where the base is one of its
    base: str  # folder or Hub id of the base model
    reward: str
    recipe: str  # where the config came from
    config: TrainConfig


@dataclass(frozen=True)
class Run:
    """A run folder. Made by `create_run`, `open_run` and `list_runs`."""

    folder: Path
    id: str
    spec: RunSpec
    created: str  # ISO 8601, UTC
    base_weights: str | None = field(default=None, kw_only=True)  # what it began from, see `base_weights.py`

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
            return ResultFacts.from_dict(read_json(self.folder / "result.json"))
        except (OSError, ValueError):
            status = self.status()
            return ResultFacts(status.epoch, status.step, status.seconds)

    def write_result_facts(self, facts: ResultFacts) -> None:
        """Put down what is known of the result; raises OSError where the disk refuses."""
        write_json(self.folder / "result.json", {"format": FORMAT, **asdict(facts)}, storage=self.storage)

    def result_epochs(self) -> list[EpochMetrics]:
        """As `epochs`, up to that of the result."""
        last = self.result_facts().epoch
        return [epoch for epoch in self.epochs() if epoch.epoch <= last]

    def result_samples(self) -> list[tuple[int, Path]]:
        """As `samples`, up to the epoch of the result."""
        last = self.result_facts().epoch
        return [(epoch, path) for epoch, path in self.samples() if epoch <= last]

    @property
    def checkpoints(self) -> CheckpointStore:
        """Its checkpoints. Imports torch."""
        from ddpo.runs.checkpoints import CheckpointStore

        return CheckpointStore(self.folder / "checkpoints", storage=self.storage)

    def has_checkpoint(self) -> bool:
        """Whether there is anything to go on from. Imports nothing that is slow."""
        return any((self.folder / "checkpoints").glob("*.pt"))

    def status(self) -> RunStatus:
        """Where it stands now: "interrupted" where its process is gone without having said so."""
        stored = self.stored_status()
        if not self._is_alive(stored):
            stored = self.stored_status()  # what it wrote last, where it ended between the two looks
            if stored.state in ACTIVE:
                stored = replace(stored, state="interrupted")
        return stored

    def is_about_to_train(self) -> bool:
        """Whether its process was started a moment ago."""
        if self._stored_facts().get("state") != "starting":
            return False
        stored = self.stored_status()
        return stored.state == "starting" and bool(stored.started) and self._is_alive(stored)

    def stored_status(self) -> RunStatus:
        """The status as it was written last; "interrupted" where it cannot be read."""
        known = {"epochs": self.spec.config.epochs, "updated": self.created}
        try:
            return RunStatus.from_dict({**known, **self._stored_facts()})
        except ValueError:
            return RunStatus("interrupted", epochs=self.spec.config.epochs, updated=self.created)

    def _stored_facts(self) -> dict[str, Any]:
        """What the file of the status holds, not to be changed; nothing where it cannot be read."""
        path = self.folder / "status.json"
        with suppress(OSError, ValueError):
            return _facts.get(path)
        with suppress(OSError, ValueError):
            return read_json(path)  # what was written ahead of it
        return {}

    def write_status(self, **changes: Any) -> None:
        """Change some fields of the stored status, also on a full disk; `updated` is set to now.

        Raises:
            UserError: the disk refuses.
            RunGone: the folder is not there any more; it is not made anew.
            TypeError, ValueError: that is no status.
        """
        if not self.folder.is_dir():
            raise RunGone(f"The folder of the run {self.id} was removed, so nothing more can be kept of it.")
        status = replace(self.stored_status(), **{**changes, "updated": now_text()})
        facts = {"format": FORMAT, **asdict(status)}
        try:
            write_json(self.folder / "status.json", facts, even_when_full=True, storage=self.storage, confirmed=False)
        except OSError as error:
            raise storage_error(error, self.folder, "The status of the run") from error

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics; one that is torn is left out."""
        return MetricsFiles(self.folder).lines()

    def epochs(self) -> list[EpochMetrics]:
        """The figures of the epochs that are done, in order."""
        return MetricsFiles(self.folder).epochs()

    def evaluations(self) -> list[HeldOutEvaluation]:
        """What was seen of the held-out seeds, in order; [] where the run does not look at any."""
        return MetricsFiles(self.folder).evaluations()

    def append_metrics(self, *lines: dict[str, Any]) -> None:
        """Add lines to the metrics. Numbers that are not finite are written as null.

        Raises:
            UserError: the disk refuses; the earlier lines are as they were.
        """
        with self._writing_metrics():
            MetricsFiles(self.folder).append(list(lines), self.storage)

    def truncate_metrics(self, step: int) -> None:
        """Keep the lines up to a step, the one that training goes on from.

        Raises:
            UserError: the disk refuses; the lines are as they were.
        """
        with self._writing_metrics():
            MetricsFiles(self.folder).truncate(step, self.storage)

    @contextmanager
    def _writing_metrics(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(error, self.folder, "The metrics of the run") from error

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
        """Forget the request to stop.

        Raises:
            UserError: the disk refuses.
        """
        path = self.folder / "stop"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, self.folder, "That the run is to go on") from error
        if path.exists():  # an object store may show it for a while yet, and the run would stop
            confirm(path, lambda: not path.exists())

    def trainer(self) -> dict[str, Any] | None:
        """The facts of the process that trains it, by the lock of all runs here or a lease of its own; None: nobody."""
        holder = locks.holder(lock_path(self.root))
        return holder if holder and holder.get("id") == self.id else leases.holder(self.folder)

    def _is_alive(self, stored: RunStatus) -> bool:
        return self.trainer() is not None or (stored.state == "starting" and abs(age(stored.updated)) < START_GRACE)


_facts = FileCache(read_json, most=10_000)  # of the status; a page looks at all runs every 1.5 s


def lock_path(root: Path) -> Path:
    """The lock of all runs in a folder."""
    return root / ".lock"

"""All runs of a folder: made, listed, started, one at a time.

The process that trains holds `<root>/.lock`, which vanishes with it. Nothing that is slow is imported here.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ddpo.common import leases, locks
from ddpo.common.files import FileCache, read_json, storage_error, write_json
from ddpo.common.storage import Storage, probe, storage_of
from ddpo.common.words import in_words, moment, shown
from ddpo.diffusion.catalogue import current_base
from ddpo.errors import Busy, UserError
from ddpo.runs.base_weights import fingerprint, need_same_base
from ddpo.runs.folder import FORMAT, Run, RunSpec, lock_path
from ddpo.runs.place import runs_place
from ddpo.runs.status import STATES, RunStatus, now_text
from ddpo.training.recipes import config_from_dict

__all__ = [
    "STATES", "TIME_WAS_UP", "Run", "RunSpec", "RunStatus", "check_idle", "create_run", "current_run",
    "in_words", "list_runs", "open_run", "runs_root", "start_process", "training_lock",
]  # fmt: skip

TRAINER = (sys.executable, "-m", "ddpo.cli")  # train_space.py, wherever the package is installed
PACKAGE_PARENT = Path(__file__).resolve().parents[2]  # where that finds the package
PACKAGES = ("torch", "diffusers", "accelerate", "peft", "open_clip_torch", "numpy", "pillow")
TIME_WAS_UP = "The time was up; resume it to go on."
LONGEST_TEXT = 5000  # characters of a text in run.json; paths have at most 4096
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


def runs_root() -> Path:
    """Where runs are kept: $DDPO_RUNS, else a bucket that is mounted on a Space, else `runs` in the working folder."""
    return runs_place().folder


def create_run(root: Path, spec: RunSpec, run_id: str | None = None) -> Run:
    """Make the folder of a new run, which nothing trains yet.

    Args:
        root: folder of the runs.
        spec: what is trained on what.
        run_id: its id, which no run there has yet; by default one of the moment and the reward.

    Raises:
        UserError: the disk is full or refuses.
    """
    now = datetime.now(UTC)
    run_id = run_id or f"{now:%Y%m%d-%H%M%S}-{slug(spec.reward)}-{secrets.token_hex(2)}"
    weights = fingerprint(current_base(spec.pair, spec.base))
    run = Run(root / run_id, run_id, spec, now.isoformat(timespec="milliseconds"), base_weights=weights)
    facts = {
        "format": FORMAT, "id": run_id, "created": run.created, **asdict(spec), "base_weights": weights,
        "versions": _versions(),
    }  # fmt: skip
    status = RunStatus("starting", epochs=spec.config.epochs, updated=now_text())
    unfinished = root / f".{run_id}"  # a run appears whole or not at all
    try:
        storage = probe(root)
        if not storage.plain:  # a folder may not be renamed there, but there is no run before its run.json
            unfinished = run.folder
            facts["storage"] = asdict(storage)
        write_json(unfinished / "status.json", {"format": FORMAT, **asdict(status)}, storage=storage)
        write_json(unfinished / "run.json", facts, storage=storage)
        if storage.plain:
            unfinished.replace(run.folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise storage_error(error, root, "The run") from error
    return run


def slug(reward: str) -> str:
    """The name of a reward as part of an id."""
    return re.sub(r"[^a-z0-9]+", "-", reward.lower()).strip("-")[:40] or "reward"


def open_run(root: Path, id: str) -> Run:
    """The run of that id.

    Raises:
        UserError: there is none, a newer version wrote it, or its description is damaged.
    """
    folder = root / id if isinstance(id, str) and ID.fullmatch(id) else None
    if folder is None or not (folder / "run.json").is_file():
        raise UserError(f"There is no run {shown(id)}; the page and `train_space.py list` name those that there are.")
    try:
        return _runs.get(folder / "run.json")
    except UserError as error:
        raise UserError(f"The run {id} cannot be opened: {error}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"The run {id} cannot be opened: its run.json is damaged; start a new one.") from error


def _read_run(path: Path) -> Run:
    facts = read_json(path)
    if facts["format"] > FORMAT:
        raise UserError(f"it was written by a newer version of this program (format {facts['format']}); update it.")
    pair, base, reward, recipe, created = (facts[name] for name in ("pair", "base", "reward", "recipe", "created"))
    texts = (base, reward, recipe, created) if pair is None else (pair, base, reward, recipe, created)
    if not all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts):
        raise ValueError("a text is none, or too long")
    spec = RunSpec(pair, base, reward, recipe, config_from_dict(facts["config"]))
    weights = facts.get("base_weights")  # earlier versions did not put it down
    weights = weights if isinstance(weights, str) else None
    return Run(path.parent, path.parent.name, spec, created, base_weights=weights)


_runs = FileCache(_read_run, most=10_000)  # the Train tab opens every run several times in every look


def list_runs(root: Path) -> list[Run]:
    """All runs that can be opened, the newest first."""
    runs = []
    for path in root.glob("*/run.json"):
        try:
            runs.append(open_run(root, path.parent.name))
        except UserError:
            continue
    return sorted(runs, key=lambda run: (run.created, run.id), reverse=True)


@contextmanager
def training_lock(root: Path, run: Run) -> Iterator[leases.Lease | None]:
    """Hold the right to train, as long as the block or the process lasts.

    Where locks are no good it is a lease of the run, which may be lost: its `check` tells. Elsewhere the block gets
    None. Machines that share a bucket may train a run each.

    Raises:
        Busy: another process of this machine trains, or trains this run elsewhere; the sentence says which run, since
            when and for how long yet.
        UserError: the disk refuses.
    """
    facts = {"id": run.id, "pid": os.getpid(), "host": socket.gethostname(), "since": now_text()}
    try:
        storage = storage_of(root)
        held = _lease(run, facts, storage) if storage.uses_leases else locks.acquire(lock_path(root), facts)
    except BlockingIOError:
        raise _busy(root, locks.holder(lock_path(root)) or {}) from None
    except leases.Taken:
        raise _busy(root, leases.holder(run.folder) or {}) from None
    except OSError as error:
        raise storage_error(error, root, "The lock of the runs") from error
    try:
        yield held if isinstance(held, leases.Lease) else None
    finally:
        if isinstance(held, leases.Lease):
            held.release()
        else:
            locks.release(held)


def current_run(root: Path) -> Run | None:
    """The run whose process holds the lock or, just started, is about to take it; None where nothing trains."""
    holder = locks.holder(lock_path(root))
    if holder is None:
        runs = list_runs(root)
        leased = (run for run in runs if leases.is_here(leases.holder(run.folder)))
        return next(leased, None) or next((run for run in runs if run.is_about_to_train()), None)
    try:
        return open_run(root, str(holder.get("id")))
    except UserError:
        return None


def check_idle(root: Path) -> None:
    """Make sure that nothing trains, or is about to.

    Raises:
        Busy: something does; the sentence says which run, since when and for how long yet.
    """
    training = current_run(root)
    if training is not None:
        raise _busy(root, {"id": training.id, **(training.trainer() or {})})
    if locks.holder(lock_path(root)) is not None:
        raise Busy("A run whose folder was removed is still in its last step and then stops; try again in a minute.")


def _lease(run: Run, facts: dict[str, Any], storage: Storage) -> leases.Lease:
    """The lease of a run; raises Busy where this machine trains another run by one."""
    for other in list_runs(run.root):
        if other.id != run.id and leases.is_here(holder := leases.holder(other.folder)):
            raise _busy(run.root, holder or {})
    return leases.Lease(run.folder, facts, storage)


def start_process(run: Run, time_budget: float | None = None) -> int:
    """Train a run, from the beginning or from where it stopped, in a process that outlives this one.

    An earlier request to stop is forgotten. What the process prints goes to `log.txt`, beside the run's files or, where
    nothing can be appended to them, in a temporary folder.

    Args:
        run: the run.
        time_budget: seconds after which it stops by itself, to be resumed.

    Returns:
        The process id.

    Raises:
        Busy: another run trains, or this one already does.
        UserError: the disk refuses, no process can be started, or the base has other weights by now.
    """
    check_idle(run.root)
    need_same_base(run)
    run.clear_stop()
    started = datetime.now(UTC).isoformat()  # also tells this start from any other
    run.write_status(state="starting", started=started, error=None, notice=None, seconds_left=None)
    command = [*TRAINER, "resume", run.id, "--root", str(run.root.resolve())]
    if time_budget is not None:
        command += ["--time-budget", _written(time_budget)]
    log_file = _log_file(run)
    try:
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": _python_path()},
            )  # fmt: skip
    except OSError as error:
        run.write_status(state="failed", error="The process that trains could not be started.")
        raise storage_error(error, run.folder, "The log of the run") from error
    threading.Thread(target=_see_it_start, args=(run, process, started, log_file), daemon=True).start()
    return process.pid


def _written(seconds: float) -> str:
    """A number of seconds as the command line reads it, whole ones as such, and none of it lost."""
    return str(int(seconds)) if seconds == int(seconds) else repr(float(seconds))


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))


def _log_file(run: Run) -> Path:
    """What the process prints; a store that appends nothing would show none of it before the end."""
    if not run.storage.uses_parts:
        return run.folder / "log.txt"
    folder = Path(tempfile.gettempdir()) / "ddpo-logs" / run.id
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "log.txt"


def _see_it_start(run: Run, process: subprocess.Popen[bytes], started: str, log_file: Path) -> None:
    """Wait for the end of a process; one that ended before it could tell is told of here."""
    code = process.wait()
    status = run.stored_status()
    # A run may have been stopped and resumed while its first process was still on its way out.
    if run.folder.is_dir() and status.state == "starting" and status.started == started:
        log = "the run's log.txt" if log_file.parent == run.folder else str(log_file)
        run.write_status(
            state="failed", error=f"The process that trains ended with code {code} before it began; {log} says why."
        )


def _busy(root: Path, holder: dict[str, Any]) -> Busy:
    try:
        left = open_run(root, str(holder.get("id"))).status().seconds_left
    except UserError:
        return Busy("Another run is training; wait until it is done, or stop it.")
    begun = holder.get("since")
    since = f" since {moment(begun)}" if isinstance(begun, str) else ""
    known = f" and needs {in_words(left)} more" if left is not None else ", and cannot yet say how long it needs"
    return Busy(f"The run {holder['id']} has been training{since}{known}; wait for it, or stop it.")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions

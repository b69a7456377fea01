"""train_space.py in forks of a process that has imported everything already: one second instead of ten.

Such a process differs from a started one in its imports, in its one thread, and in the pictures of an
epoch, which are drawn in fewer steps. Ways in are tested where a real process is started (tests/test_package.py).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ddpo.runs.worker as worker
from ddpo.cli.main import main
from ddpo.common import leases, storage
from ddpo.runs import checkpoints, fixed_seeds
from ddpo.runs.store import Run, open_run
from tests.helpers.object_store import kill_at
from tests.helpers.prepared import Process

SETTINGS = {"DDPO_PRECISION": "float32", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
GRID_STEPS = 2  # of the pictures of an epoch, which would take half of the time
PATIENCE = 240  # seconds for what takes a few on a machine with nothing else to do


class Forked(Process):
    """A fork that does one thing and ends, with what it prints in two files."""

    def __init__(
        self,
        task: Callable[..., int],
        *arguments: Any,
        cwd: Path | None = None,
        grid_steps: int = GRID_STEPS,
        variables: Mapping[str, str] = SETTINGS,
    ) -> None:
        self._outputs = Path(tempfile.mkdtemp(prefix="forked-"))
        with (self._outputs / "out").open("wb") as out, (self._outputs / "err").open("wb") as err:
            env = {**os.environ, **variables}
            outputs = (out.fileno(), err.fileno())
            super().__init__(hurry, grid_steps, task, arguments, cwd=cwd, env=env, outputs=outputs)

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, str]:
        """What the process has printed by its end; fails where it does not end in time."""
        late = False
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            self.kill()
        out, err = ((self._outputs / name).read_text() for name in ("out", "err"))
        shutil.rmtree(self._outputs)
        assert not late, f"it goes on and on: {out}{err}"
        return out, err


def begin(root: Path, *arguments: object, **options: Any) -> Forked:
    """Start train_space.py with these arguments; `cwd`, `grid_steps` and `variables` as `Forked` has them."""
    return Forked(main, ["--root", str(root), *map(str, arguments)], **options)


def train(root: Path, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run train_space.py with these arguments to its end."""
    process = begin(root, *arguments, **options)
    out, err = process.communicate()
    return subprocess.CompletedProcess([*map(str, arguments)], process.returncode or 0, out, err)


def train_in_two(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run train_space.py in two processes that work together, as torchrun starts them, to their end.

    The exit code is that of the first which failed; what both have printed is put together.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    both = {**SETTINGS, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [{**both, "RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
    processes = [begin(root, *arguments, variables=variables) for variables in ranks]
    printed = [process.communicate() for process in processes]
    code = next((process.returncode for process in processes if process.returncode), 0)
    return subprocess.CompletedProcess([*map(str, arguments)], code, *map("".join, zip(*printed, strict=True)))


def train_and_be_killed(run: Run, changes: Sequence[int]) -> list[int]:
    """Train in a bucket, killed once for each number, at that change of a file from the start on.

    Returns the newest step that was called saved by then, for each kill. Raises where such a checkpoint was lost.
    """
    out, err = Forked(_be_killed_at, run.root, run.id, changes).communicate()
    assert out.endswith("lost nothing\n"), out + err
    return [int(word) for word in out.splitlines()[0].split()]


def train_and_be_killed_at_random(run: Run, kills: int) -> None:
    """Train, killed so often at random moments; it may be finished by then, or not.

    Every step is saved, so many kills fall into a saving. A process that gets to the end does it over from an earlier
    checkpoint, so that no kill comes too late.
    """
    out, err = Forked(_be_killed_at_random, run.root, run.id, kills).communicate()
    assert out.endswith(f"{kills} kills\n"), out + err


def hurry(grid_steps: int, task: Callable[..., int], arguments: Sequence[Any]) -> int:
    """Do a task with fewer steps in the pictures of an epoch, and with storage that waits for no other machine."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a run of tests in the background ignores
    fixed_seeds.STEPS = grid_steps
    leases.SETTLE, storage.FIRST_PAUSE = 0.05, 0.002
    checkpoints.SETTLE = 600.0  # a busy machine is slower than any bucket
    return task(*arguments)


def _be_killed_at(root: Path, run_id: str, changes: Sequence[int]) -> int:
    """Trains in forks of itself, which tell of every checkpoint that they call saved, as soon as it is."""
    worker.CHECKPOINT_SECONDS, worker.CHECKPOINT_SHARE = 0.0, 1e9
    run, last = open_run(root, run_id), 0
    for change in changes:
        said, saying = os.pipe()
        kill_at(root, change)
        child = os.fork()
        if child == 0:
            _train_telling(run, saying)
        os.close(saying)
        with os.fdopen(said, "rb") as file:
            last = max(last, *file.read(), last)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "it has ended by itself"
        loaded = run.checkpoints.load_newest()
        found = loaded.step if loaded else 0
        assert found >= last and (loaded is None or loaded.notice is None), (found, last, loaded and loaded.notice)
        print(last, end=" ", flush=True)
    print("\nlost nothing", flush=True)
    return 0


def _train_telling(run: Run, saying: int) -> None:
    save = worker._Worker._save_checkpoint

    def telling(self: Any) -> None:
        save(self)
        os.write(saying, bytes([self.saved_step]))

    worker._Worker._save_checkpoint = telling  # type: ignore[method-assign]
    worker.carry_out(run)
    os._exit(0)


def _be_killed_at_random(root: Path, run_id: str, kills: int) -> int:
    record = worker._Worker._record

    def eager(self: Any, event: Any) -> None:
        record(self, event)
        self._save_checkpoint()

    worker.CHECKPOINT_SECONDS = 0.0
    worker._Worker._record = eager  # type: ignore[method-assign]
    run, chance, done = open_run(root, run_id), random.Random(0), 0
    while done < kills:
        child = os.fork()
        if child == 0:
            worker.carry_out(run)
            os._exit(0)
        time.sleep(chance.uniform(0.02, 0.6))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        done += os.WIFSIGNALED(status)
        if run.status().state == "finished":
            shutil.rmtree(run.folder / "checkpoints")
            run.write_status(state="interrupted")
    print(done, "kills", flush=True)
    return 0

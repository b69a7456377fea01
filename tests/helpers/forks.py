"""Training in processes that are forked from one that has imported everything already: one second instead of ten."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # which an optimizer imports when it is made, and that takes seconds

import ddpo.runs.worker as worker
from ddpo.cli.main import main
from ddpo.common import leases, storage
from ddpo.runs import checkpoints, fixed_seeds
from ddpo.runs.store import Run, open_run
from tests.helpers.object_store import kill_at

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.helpers.forks"])
SETTINGS = {"DDPO_PRECISION": "float32", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
GRID_STEPS = 2  # of the pictures of an epoch, which would take half of the time
PATIENCE = 240  # seconds for what takes a few on a machine with nothing else to do


def begin(root: Path, *arguments: object, grid_steps: int = GRID_STEPS) -> Any:
    """Start train_space.py with these arguments."""
    words = ["--root", str(root), *map(str, arguments)]
    process = _context.Process(target=_command, args=(words, str(_outputs(root)), grid_steps))
    process.start()
    return process


def train(root: Path, *arguments: object, grid_steps: int = GRID_STEPS) -> subprocess.CompletedProcess[str]:
    """Run train_space.py with these arguments to its end."""
    process = begin(root, *arguments, grid_steps=grid_steps)
    out, err = _end(process, str(_outputs(root)))
    return subprocess.CompletedProcess([*map(str, arguments)], process.exitcode, out, err)


def train_together(root: Path, count: int, *arguments: object) -> list[subprocess.CompletedProcess[str]]:
    """Run train_space.py in so many processes that train together, set up as torchrun sets them up."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words, outputs = ["--root", str(root), *map(str, arguments)], [f"{_outputs(root)}-{rank}" for rank in range(count)]
    processes = [
        _context.Process(target=_member, args=(rank, count, port, words, outputs[rank])) for rank in range(count)
    ]
    for process in processes:
        process.start()
    said = [_end(process, output) for process, output in zip(processes, outputs, strict=True)]
    return [
        subprocess.CompletedProcess(words, process.exitcode, *texts)
        for process, texts in zip(processes, said, strict=True)
    ]


def train_and_be_killed(run: Run, changes: Sequence[int]) -> list[int]:
    """Train in a bucket, killed once for each number, at that change of a file from the start on.

    Returns the newest step that was called saved by then, for each kill. Raises where such a checkpoint was lost.
    """
    outputs = str(_outputs(run.root))
    process = _context.Process(target=_killer, args=(run.root, run.id, changes, outputs))
    process.start()
    out, err = _end(process, outputs)
    assert out.endswith("lost nothing\n"), out + err
    return [int(word) for word in out.splitlines()[0].split()]


def _end(process: Any, outputs: str) -> tuple[str, str]:
    """What a process has printed by its end."""
    process.join(PATIENCE)
    late = process.exitcode is None
    if late:
        process.kill()
    out, err = (Path(f"{outputs}.{name}").read_text() for name in ("out", "err"))
    assert not late, f"it goes on and on: {out}{err}"
    return out, err


def _outputs(root: Path) -> Path:
    """Where what is printed goes: never into a bucket."""
    folder = Path(os.environ["DDPO_TEST_OUTPUTS"])
    return folder / root.parent.name


def _prepare(outputs: str, grid_steps: int = GRID_STEPS) -> None:
    os.environ.update(SETTINGS)
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(f"{outputs}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    fixed_seeds.STEPS = grid_steps
    leases.SETTLE, storage.FIRST_PAUSE = 0.05, 0.002
    checkpoints.SETTLE = 600.0  # a busy machine is slower than any bucket
    torch.set_num_threads(1)  # OMP_NUM_THREADS comes too late: torch has been imported


def _command(words: list[str], outputs: str, grid_steps: int) -> None:
    _prepare(outputs, grid_steps)
    code = main(words)
    sys.stdout.flush()
    os._exit(code)


def _member(rank: int, count: int, port: int, words: list[str], outputs: str) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count), LOCAL_WORLD_SIZE=str(count),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    _command(words, outputs, GRID_STEPS)


def _killer(root: Path, run_id: str, changes: Sequence[int], outputs: str) -> None:
    """Trains in forks of itself, which tell of every checkpoint that they call saved, as soon as it is."""
    _prepare(outputs)
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
    os._exit(0)


def _train_telling(run: Run, saying: int) -> None:
    save = worker._Worker._save_checkpoint

    def telling(self: Any) -> None:
        save(self)
        os.write(saying, bytes([self.saved_step]))

    worker._Worker._save_checkpoint = telling  # type: ignore[method-assign]
    worker.carry_out(run)
    os._exit(0)

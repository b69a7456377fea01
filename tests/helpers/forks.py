"""Training in processes that are forked from one that has imported everything already: one second instead of ten."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ddpo.runs.worker as worker
from ddpo.cli.main import main
from ddpo.common import leases
from ddpo.runs.store import Run, open_run

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.helpers.forks"])
SETTINGS = {"DDPO_PRECISION": "float32", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def begin(root: Path, *arguments: object) -> Any:
    """Start train_space.py with these arguments."""
    words = ["--root", str(root), *map(str, arguments)]
    process = _context.Process(target=_command, args=(words, str(_outputs(root))))
    process.start()
    return process


def train(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run train_space.py with these arguments to its end."""
    process = begin(root, *arguments)
    process.join(90)
    assert process.exitcode is not None, "it goes on and on"
    out, err = (Path(f"{_outputs(root)}.{name}").read_text() for name in ("out", "err"))
    return subprocess.CompletedProcess([*map(str, arguments)], process.exitcode, out, err)


def kill_again_and_again(run: Run, kills: int) -> str:
    """Train, killed at random moments; returns the steps that were called saved. Raises where one was lost."""
    outputs = _outputs(run.root)
    process = _context.Process(target=_killer, args=(run.root, run.id, kills, str(outputs)))
    process.start()
    process.join(90)
    out, err = (Path(f"{outputs}.{name}").read_text() for name in ("out", "err"))
    assert out.endswith("lost nothing\n"), out + err
    return out


def _outputs(root: Path) -> Path:
    """Where what is printed goes: never into a bucket."""
    folder = Path(os.environ["DDPO_TEST_OUTPUTS"])
    return folder / root.parent.name


def _prepare(outputs: str) -> None:
    os.environ.update(SETTINGS)
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(f"{outputs}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    leases.SETTLE = 0.05


def _command(words: list[str], outputs: str) -> None:
    _prepare(outputs)
    code = main(words)
    sys.stdout.flush()
    os._exit(code)


def _killer(root: Path, run_id: str, kills: int, outputs: str) -> None:
    """Trains in forks of itself; each tells of every checkpoint that it calls saved, as soon as it is, and is killed
    at a random moment after a few of them."""
    _prepare(outputs)
    worker.CHECKPOINT_SECONDS, worker.CHECKPOINT_SHARE = 0.0, 1e9
    run, rng, last = open_run(root, run_id), random.Random(0), 0
    for _ in range(kills):
        said, saying = os.pipe()
        child = os.fork()
        if child == 0:
            _train_telling(run, saying)
        os.close(saying)
        took = 0.1
        for _ in range(rng.randint(1, 3)):
            begun = time.monotonic()
            step = os.read(said, 1)
            assert step or run.status().state == "finished", "it has ended by itself"
            last = max(last, *step, last)
            took = time.monotonic() - begun
        time.sleep(rng.uniform(0, 1.5 * took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        last = max(last, *os.read(said, 4096), last)
        loaded = run.checkpoints.load_newest()
        found = loaded.step if loaded else 0
        assert found >= last and (loaded is None or loaded.notice is None), (found, last, loaded and loaded.notice)
        print(last, end=" ", flush=True)
        if run.status().state == "finished":
            break
    print("lost nothing", flush=True)
    os._exit(0)


def _train_telling(run: Run, saying: int) -> None:
    save = worker._Worker._save_checkpoint

    def telling(self: Any) -> None:
        save(self)
        os.write(saying, bytes([self.saved_step]))

    worker._Worker._save_checkpoint = telling  # type: ignore[method-assign]
    worker.carry_out(run)
    os._exit(0)

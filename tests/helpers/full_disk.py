"""A whole training run on a disk that becomes full just before a write of its own, which is chosen by number.

The disk is a small tmpfs, so the kernel itself refuses, whoever writes: Python, torch, or the Rust of safetensors.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from ddpo.common.files import sha256
from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import choose_compute
from ddpo.errors import UserError
from ddpo.runs import worker
from ddpo.runs.store import Run, RunSpec, create_run, list_runs
from tests.helpers.forks import Forked

PAGE = 4096
TORN = (1, 5, 11)  # pages of weights, which have about 15
REFUSED, BROKEN = 3, 4  # exit codes: in a sentence, and with anything else
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Met:
    """What became of a run whose disk was full from a write on, and of its next go once there was room."""

    number: int  # of the write, from 1 on; 0: the disk never was
    pages: int  # of 4 kB that were left
    writes: list[str]  # until then, or until the end
    said: str  # by what was raised; empty: the run came to its end
    state: str  # of the run in the list while the disk was full; empty: there was none
    error: str  # in its status
    left: list[str]  # files with odd names after the next go
    weights: str  # checksum of the result after the next go


def meet_at_writes(disk: Path, spec: RunSpec, every: bool) -> list[Met]:
    """Train on a small disk: once undisturbed, then once for each write, with a disk that is full from it on.

    Weights are also given room for some pages, so that a large file breaks off within.

    Args:
        disk: where it is mounted, with nothing on it.
        spec: of the run.
        every: each single write; otherwise the first of each kind of file, and all of the result.
    """
    process = Forked(_meet, disk, spec, every)
    told, trouble = process.communicate()
    assert process.returncode == 0, told + trouble
    return [Met(**json.loads(line)) for line in told.splitlines() if line.startswith("{")]


def _meet(disk: Path, spec: RunSpec, every: bool) -> int:
    worker.CHECKPOINT_SECONDS, worker.CHECKPOINT_SHARE = 0.0, 1e9
    load_model(spec.base, choose_compute())  # what is looked at once in a process is there for all of its forks
    root, filler = disk / "runs", disk / "filler"
    points = [(0, 0)]
    for number, pages in points:
        shutil.rmtree(root, ignore_errors=True)
        writes, said = _go(disk, root, spec, number, pages)
        if number == 0:
            points += _points(writes, every)
        runs = [run.status() for run in list_runs(root)]
        filler.unlink(missing_ok=True)
        if said:
            _go(disk, root, spec, 0, 0)
        (run,) = list_runs(root)
        assert run.status().state == "finished", run.status()
        met = {
            "number": number, "pages": pages, "writes": writes, "said": said,
            "state": runs[0].state if runs else "", "error": (runs[0].error or "") if runs else "",
            "left": [path.name for path in disk.rglob("*") if "part" in path.name or path.name.startswith(".2")],
            "weights": _checksum(run),
        }  # fmt: skip
        print(json.dumps(met), flush=True)
    return 0


def _points(writes: list[str], every: bool) -> list[tuple[int, int]]:
    """The numbers of writes to try, each with the pages that are left from it on."""
    kinds: dict[str, int] = {}  # the first write of each
    for place, write in enumerate(writes, 1):
        kinds.setdefault(re.sub(r"\b[0-9a-f]{8}\b|[0-9]{4,}|-[0-9a-f]{4}\b", "N", write), place)
    chosen = list(range(1, len(writes) + 1)) if every else list(kinds.values())
    weights = [place for place in chosen if ".pt" in writes[place - 1] or writes[place - 1].endswith("unet")]
    return [*((place, 0) for place in chosen), *((place, pages) for place in weights for pages in TORN[not every :])]


def _checksum(run: Run) -> str:
    return sha256(run.result / "unet" / "diffusion_pytorch_model.safetensors")


def _go(disk: Path, root: Path, spec: RunSpec, number: int, pages: int) -> tuple[list[str], str]:
    """Train in a fork: the run that is there, else a new one. Returns its writes, and what was raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _train(disk, root, spec, _FullAt(disk, number, pages), writing)
    os.close(writing)
    with os.fdopen(reading) as file:
        answer = json.loads(file.read() or "[[], null]")
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) in (0, REFUSED), (number, pages, answer)
    return answer[0], answer[1]


def _train(disk: Path, root: Path, spec: RunSpec, watch: _FullAt, writing: int) -> None:
    said, code = "", 0
    try:
        runs = list_runs(root)
        worker.carry_out(runs[0] if runs else create_run(root, spec))
    except UserError as error:
        said, code = str(error), REFUSED
    except BaseException:
        said, code = traceback.format_exc(), BROKEN
    os.write(writing, json.dumps([watch.writes, said]).encode())
    os._exit(code)


class _FullAt:
    """Counts the writes below a folder, and fills its disk just before one of them."""

    def __init__(self, disk: Path, number: int, pages: int) -> None:
        self.disk, self.number, self.pages = disk, number, pages
        self.writes: list[str] = []
        sys.addaudithook(self._see)  # there to the end of the process, which is a fork

    def _see(self, event: str, values: tuple[object, ...]) -> None:
        if event == "open":
            path, writes = values[0], isinstance(values[2], int) and values[2] & _WRITING
        elif event == "os.mkdir":  # renames take no room
            path, writes = values[0], not Path(str(values[0])).exists()
        else:
            return
        if writes and isinstance(path, str | os.PathLike) and Path(path).is_relative_to(self.disk):
            self.writes.append(f"{event} {Path(path).relative_to(self.disk)}")
            if len(self.writes) == self.number:
                self.number = 0
                fill_but(self.disk, self.pages)


def fill_but(disk: Path, pages: int) -> None:
    """Take all free room of a disk but so many pages."""
    with (disk / "filler").open("wb") as file:
        free = os.statvfs(disk)
        room = free.f_bavail * free.f_frsize - pages * PAGE
        if room > 0:
            os.posix_fallocate(file.fileno(), 0, room)

"""Processes that compute at the same time know of each other, and their threads yield."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import torch

from ddpo.common import company, locks
from ddpo.comparison.compare import compare
from ddpo.comparison.settings import ComparisonSettings
from ddpo.diffusion.catalogue import DEFAULT_PAIR, PAIRS
from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import PrecisionName, choose_compute
from ddpo.diffusion.sampling import evaluate_unet
from tests.helpers.here import ROOT
from tests.helpers.libgomp import LOAD, needs_libgomp

COMPUTES = (
    "from ddpo.common import company\nwith company.computing():\n    print('computes', flush=True)\n    input()\n"
)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(company, "has_gpu", lambda: False)
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def another(tmp_path: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "", **variables}
    command = [sys.executable, "-c", COMPUTES]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "computes\n"
        try:
            yield process
        finally:
            process.kill()


def test_another_process_is_known_until_it_ends_or_is_killed(tmp_path: Path) -> None:
    with company.computing():
        assert not company.others()
    for end in ("end", "kill"):
        with another(tmp_path) as process:
            assert company.others()
            if end == "kill":
                process.kill()
            else:
                process.communicate("\n")
            process.wait()
            assert not company.others()


def test_processes_of_one_torchrun_are_no_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    with another(tmp_path, **together):
        assert company.others()
        for name, value in together.items():
            monkeypatch.setenv(name, value)
        assert not company.others()


def test_a_comparison_tells_of_itself_while_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    path = company._folder() / str(os.getpid())
    settings = ComparisonSettings("church-64", steps=4, samples=1, precision="float32")
    with closing(compare(settings)) as events:  # type: ignore[type-var]
        for event in events:
            if getattr(event, "step", 0):
                break
        assert locks.holder(path) is not None
    assert not path.exists()


def test_a_fork_computes_for_itself() -> None:
    with company.computing():
        child = os.fork()
        if child == 0:
            os._exit(0 if company._presence._blocks == 0 else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_without_a_place_to_tell_it_one_computes_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with company.computing():
        assert not company.others()


def test_files_of_processes_that_are_gone_are_removed() -> None:
    folder = company._folder()
    folder.mkdir()
    old, new = folder / "4711", folder / "4712"
    old.write_text("")
    new.write_text("")
    os.utime(old, (0, time.time() - 2 * company.FORGOTTEN))
    assert not company.others()
    assert [path.name for path in folder.iterdir()] == ["4712"]


# With these variables a thread that waits spins for minutes, so it shows in the time that the process computes.
SPIN = f"""
import time
{LOAD}
from ddpo.common import company
library, nothing = company._libgomp(), ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)
def burnt():
    library.GOMP_parallel(nothing, None, 2, 0)
    time.sleep(0.05)
    begun = time.process_time()
    time.sleep(0.3)
    return time.process_time() - begun
"""


def seconds_burnt(code: str, tmp_path: Path, **variables: str) -> list[float]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", SPIN + code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={
            **own, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2", **variables,
        },
    )  # fmt: skip
    return [float(word) for word in done.stdout.split()]


@needs_libgomp
def test_a_waiting_thread_spins_alone_and_sleeps_in_company(tmp_path: Path) -> None:
    code = """
print(burnt())
with company.yielding():
    print(burnt())
time.sleep(0.3)  # libgomp forgets the sleepers once their thread is gone
print(burnt())
"""
    before, within, after = seconds_burnt(code, tmp_path, OMP_WAIT_POLICY="ACTIVE")
    assert min(before, after) > 5 * within


@needs_libgomp
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_company_changes_no_digit(precision: PrecisionName) -> None:
    compute, threads = choose_compute(precision, "cpu"), torch.get_num_threads()
    model = load_model(PAIRS[DEFAULT_PAIR].base, compute)
    pictures = torch.randn(4, *model.picture_shape)
    torch.set_num_threads(2)
    try:
        alone = evaluate_unet(model.unet, pictures, torch.tensor(500), compute)
        with company.yielding():
            assert company.threads_of_a_team() == 2
            assert torch.equal(evaluate_unet(model.unet, pictures, torch.tensor(500), compute), alone)
    finally:
        torch.set_num_threads(threads)


@needs_libgomp
def test_threads_sleep_for_as_long_as_another_process_computes(tmp_path: Path) -> None:
    code = """
from ddpo.common import threads
if os.environ["WAITING"] == "ours":
    threads.SPINS = int(os.environ["GOMP_SPINCOUNT"])
with company.computing():
    time.sleep(0.5)
    print(burnt())
"""

    def burnt(waiting: str) -> float:
        return seconds_burnt(code, tmp_path, GOMP_SPINCOUNT="30000000000", WAITING=waiting)[0]

    alone = burnt("ours")
    with another(tmp_path):
        assert alone > 5 * burnt("ours")
        assert alone < 2 * burnt("a user's")  # what a user has set stands

"""Waiting, threads and memory: what libgomp and glibc are told, on every way in."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpo.common import allocator, machine, threads
from tests.helpers.here import ROOT
from tests.helpers.libgomp import LOAD, needs_libgomp

WAYS_IN = ("app", "train_space", "ddpo.cli.__main__", "ddpo")


def told(code: str, **variables: str) -> dict[str, str]:
    """What libgomp says that it was told, in a process that runs some code and then loads it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MKL_"))}
    done = subprocess.run(
        [sys.executable, "-c", code + LOAD], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**clean, "OMP_DISPLAY_ENV": "VERBOSE", **variables},
    )  # fmt: skip
    lines = (line.split("=", 1) for line in done.stderr.splitlines() if "=" in line)
    return {name.rpartition("] ")[2].strip(): value.strip().strip("'") for name, value in lines}


@needs_libgomp
def test_by_itself_libgomp_spins_for_long() -> None:
    assert int(told("")["GOMP_SPINCOUNT"]) > 2 * threads.SPINS


@needs_libgomp
@pytest.mark.parametrize("module", WAYS_IN)
def test_threads_wait_and_yield_on_every_way_in(module: str) -> None:
    assert told(f"import {module}")["GOMP_SPINCOUNT"] == str(threads.SPINS)


@needs_libgomp
def test_processes_that_are_started_wait_alike() -> None:
    inner = f"exec({LOAD!r})"
    code = (
        f"import ddpo, subprocess, sys\nsubprocess.run([sys.executable, '-c', {inner!r}], check=True)\nraise SystemExit"
    )
    assert told(code)["GOMP_SPINCOUNT"] == str(threads.SPINS)


@needs_libgomp
def test_what_a_user_has_set_stands() -> None:
    own = told("import ddpo", GOMP_SPINCOUNT="77", OMP_NUM_THREADS="3")
    assert (own["GOMP_SPINCOUNT"], own["OMP_NUM_THREADS"]) == ("77", "3")
    active = told("import ddpo", OMP_WAIT_POLICY="ACTIVE")
    assert active["OMP_WAIT_POLICY"] == "ACTIVE" and int(active["GOMP_SPINCOUNT"]) > 10**9


def test_threads_follow_the_quota_and_share_it_with_processes_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    def number(cores: int, **variables: str) -> str | None:
        monkeypatch.setattr(threads, "cores", lambda: cores)
        monkeypatch.setattr(threads, "host_cores", lambda: 64)
        threads.set_variables(variables)
        return variables.get("OMP_NUM_THREADS")

    assert number(64) is None  # torch counts the cores itself
    assert number(8) == "8"
    assert number(8, LOCAL_WORLD_SIZE="4") == "2"
    assert number(2, LOCAL_WORLD_SIZE="4") == "1"
    assert number(8, OMP_NUM_THREADS="5") == "5"
    assert number(8, MKL_NUM_THREADS="5") is None


def write(root: Path, contents: dict[str, str]) -> Path:
    """A file system of a container, or the part of it that tells of limits."""
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


@pytest.mark.parametrize(
    ("contents", "quota"),
    [
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, math.inf),
        # The group above allows less than the process's own.
        (
            {
                "proc/self/cgroup": "0::/pod/app",
                "sys/fs/cgroup/pod/cpu.max": "200000 100000",
                "sys/fs/cgroup/pod/app/cpu.max": "400000 100000",
            },
            2.0,
        ),
        # Version 1, in a container that sees its own group as the root, under the path that it has outside.
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/4711\n0::/docker/4711",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            math.inf,
        ),
        ({}, math.inf),
    ],
)
def test_the_quota_is_read_from_cgroups_of_both_versions(
    contents: dict[str, str], quota: float, tmp_path: Path
) -> None:
    assert machine.cpu_quota(write(tmp_path, contents)) == quota


def test_a_part_of_a_core_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "host_cores", lambda: 8)
    counted = []
    for quota in (math.inf, 100.0, 1.5, 1.0, 0.1):
        monkeypatch.setattr(machine, "cpu_quota", lambda quota=quota: quota)
        counted.append(machine.cores())
    assert counted == [8, 8, 2, 1, 1]


def test_free_memory_is_that_of_the_container_where_it_has_less(tmp_path: Path) -> None:
    host = {"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB", "proc/self/cgroup": "0::/app"}
    assert machine.free_memory(write(tmp_path / "host", host)) == 8_000_000 * 1024
    limited = {
        **host,
        "sys/fs/cgroup/app/memory.max": "2000000000",
        "sys/fs/cgroup/app/memory.current": "1500000000",
        "sys/fs/cgroup/app/memory.stat": "anon 1100000000\ninactive_file 400000000",
    }
    assert machine.free_memory(write(tmp_path / "limited", limited)) == 900_000_000
    assert machine.free_memory(tmp_path / "nothing") is None
    here = machine.free_memory()
    assert here is None or here > 0


KEPT = """
import os
from ddpo.common import allocator
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
before = resident()
blocks = [b"x" * 10_000_000 for _ in range(20)]
blocks.clear()
kept = resident() - before
allocator.give_back()
print(kept, resident() - before)
"""


@pytest.mark.skipif(not allocator._is_glibc(), reason="the C library is not glibc")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    def megabytes(**variables: str) -> tuple[float, float]:
        done = subprocess.run(
            [sys.executable, "-c", KEPT], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, **variables},
        )  # fmt: skip
        kept, left = map(float, done.stdout.split())
        return kept, left

    kept, left = megabytes()
    assert kept > 150 and left < 20
    assert megabytes(MALLOC_TRIM_THRESHOLD_="131072")[0] < 20  # what a user has told glibc stands

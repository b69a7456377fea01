"""Facts about this machine: GPU, ZeroGPU, Space, bfloat16, cores, memory and prices. Nothing slow is imported."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path

# Dollars an hour as https://huggingface.co/docs/hub/spaces-gpus listed them on 22 August 2026, by the names of
# https://huggingface.co/docs/hub/spaces-config-reference; other hardware has no known price.
HOURLY_PRICES = {
    "cpu-basic": 0.0, "cpu-upgrade": 0.03, "t4-small": 0.40, "t4-medium": 0.60, "l4x1": 0.80, "l4x4": 3.80,
    "a10g-small": 1.00, "a10g-large": 1.50, "a10g-largex2": 3.00, "a10g-largex4": 5.00, "a100-large": 2.50,
    "a100x4": 10.00, "a100x8": 20.00, "l40sx1": 1.80, "l40sx4": 8.30, "l40sx8": 23.50,
}  # fmt: skip

CPU_HARDWARE = {"2": "cpu-basic", "8": "cpu-upgrade"}  # by their cores; both are told as the accelerator "none"


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that may be used, found out without torch."""
    return Path("/proc/driver/nvidia/version").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") != ""


def on_zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, which borrows a GPU for one call at a time."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def hourly_price() -> float | None:
    """Dollars an hour of the Space's hardware; None where this is no Space, on ZeroGPU, or if it is not known."""
    if on_zero_gpu() or not on_space():
        return None
    return HOURLY_PRICES.get(_space_hardware())


def _space_hardware() -> str:
    """Name of the Space's hardware, from the variables in https://huggingface.co/docs/hub/spaces-overview."""
    accelerator = os.environ.get("ACCELERATOR", "")
    return CPU_HARDWARE.get(os.environ.get("CPU_CORES", ""), "") if accelerator == "none" else accelerator


@functools.cache
def has_fast_bfloat16() -> bool:
    """Whether the processor is quick at bfloat16 (AVX512_BF16 or AMX); known on Linux only."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_tile" in flags


def cores() -> int:
    """Processor cores that this process may use: those that it may run on, or the container's quota if it is less.

    A quota of 1.5 cores counts as two: one thread would leave a third of it unused.
    """
    return max(1, math.ceil(min(host_cores(), cpu_quota())))


def host_cores() -> int:
    """Processor cores that this process may run on, which is what libraries count; a quota takes none of them away."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(system: Path = Path("/")) -> float:
    """Cores' worth of time that the container may use, by cgroups of version 1 or 2; infinite where nothing limits it.

    Args:
        system: root of the file system.
    """
    shares = [math.inf]
    for folder in _cgroup_folders(system, "cpu"):
        words = (_read(folder / "cpu.max") or "max").split()  # version 2: "200000 100000"
        quota = words[0] if words[0] != "max" else _read(folder / "cpu.cfs_quota_us") or "-1"
        period = words[1] if len(words) > 1 else _read(folder / "cpu.cfs_period_us") or "100000"
        if quota.isdigit() and period.isdigit() and int(quota) * int(period) > 0:
            shares.append(int(quota) / int(period))
    return min(shares)


def free_memory(system: Path = Path("/")) -> int | None:
    """Bytes that this process may still use, of the machine and of the container; None where nobody tells.

    Args:
        system: root of the file system.
    """
    known = []
    fields = dict(line.split(":", 1) for line in _read(system / "proc/meminfo").splitlines() if ":" in line)
    if "MemAvailable" in fields:
        known.append(int(fields["MemAvailable"].split()[0]) * 1024)
    for folder in _cgroup_folders(system, "memory"):
        limit = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        used = _read(folder / "memory.current") or _read(folder / "memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit():
            known.append(max(0, int(limit) - int(used) + _file_cache(folder)))
    return min(known, default=None)


def _file_cache(folder: Path) -> int:
    """Bytes of files that a cgroup counts as used, and that go as soon as memory is asked for."""
    fields = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
    return int(fields.get("total_inactive_file") or fields.get("inactive_file") or 0)


def _cgroup_folders(system: Path, controller: str) -> Iterator[Path]:
    """Where the limits of a controller that hold for this process may stand: its cgroup's folder and those above it.

    A container often sees its own cgroup as the root, whatever its path is called outside; the ancestors cover that.
    """
    for line in _read(system / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = system / "sys/fs/cgroup"
        roots = (root / controllers, root / controller) if controllers else (root,)
        relative = Path(path.strip("/"))
        for mount in dict.fromkeys(roots):
            yield from (mount / part for part in (relative, *relative.parents))


def _read(path: Path) -> str:
    """What a file of the system says; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def on_space() -> bool:
    """Whether this runs on a Hugging Face Space, where strangers must not reach into folders."""
    return bool(os.environ.get("SPACE_ID"))

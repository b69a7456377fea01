"""The memory of this machine: how much there is left for this process, and handing back what it no longer needs."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import gc
from collections.abc import Callable
from pathlib import Path

from ddpo.errors import UserError

RESERVE = 256 << 20  # bytes kept back: an estimate of tensors knows nothing of the libraries' own needs
_LIMITS = (  # of a control group, version 2 and 1: its limit, what it uses, and how much of that is cached files
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat", "inactive_file"),
    (
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "sys/fs/cgroup/memory/memory.usage_in_bytes",
        "sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)


def available(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take: what the system has, and what its control group (a container) allows.

    Args:
        root: where `proc` and `sys` are.

    Returns:
        None where neither is known, as elsewhere than on Linux.
    """
    found = [_system(root), *(_group(root, *files) for files in _LIMITS)]
    return min((size for size in found if size is not None), default=None)


def check_room(needed: float, what: str, remedy: str) -> None:
    """Refuse what would not fit the memory that there is.

    Args:
        needed: bytes.
        what: needs them, as the subject of a sentence.
        remedy: what to do, as a clause.

    Raises:
        UserError: there is less; the sentence gives both figures.
    """
    there = available()
    if there is not None and needed + RESERVE > there:
        raise UserError(
            f"{what} needs about {in_gigabytes(needed + RESERVE)} of memory and {in_gigabytes(there)} are free; "
            f"{remedy}."
        )


def in_gigabytes(size: float) -> str:
    """A number of bytes for reading."""
    return f"{size / 1e9:.1f} GB" if size < 1e12 else f"{size / 1e12:,.0f} TB"


def is_short(error: BaseException) -> bool:
    """Whether an error means that the memory was not enough, on a CPU (where torch has no class for it) or a GPU."""
    words = ("can't allocate memory", "out of memory", "bad_alloc")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def give_back() -> None:
    """Hand memory that is no longer used back to the system, which glibc keeps after large pictures otherwise."""
    gc.collect()
    trim = _trimmer()
    if trim is not None:
        trim(0)


@functools.cache
def _trimmer() -> Callable[[int], int] | None:
    name = ctypes.util.find_library("c")
    try:
        return getattr(ctypes.CDLL(name), "malloc_trim", None) if name else None
    except OSError:
        return None


def _system(root: Path) -> int | None:
    try:
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _group(root: Path, limit: str, usage: str, stat: str, cached: str) -> int | None:
    """What a control group leaves; None without a limit. Cached files go when memory is wanted, so they count as free.

    A process in a container sees its own group at the root of the file system of groups.
    """
    try:
        most = int((root / limit).read_text())  # ValueError: "max"
        used = int((root / usage).read_text())
        lines = (line.split() for line in (root / stat).read_text().splitlines())
        freed = next((int(size) for name, size in lines if name == cached), 0)
    except (OSError, ValueError):
        return None
    return max(0, most - used + freed)

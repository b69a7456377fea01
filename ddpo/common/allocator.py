"""How glibc's allocator keeps and gives back memory; on other systems nothing here has any effect.

A network frees and takes the same megabytes for every layer. By default glibc gives most of them back to the system
each time, and has them cleared anew when they are next touched. `keep` has it hold on to them between two layers.
`give_back` returns what is free once the work is done: after a comparison, or a picture of somebody's own.
"""

from __future__ import annotations

import ctypes
import os
import sys

# Parameters of mallopt, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGEST_MMAP_THRESHOLD = 32 << 20  # bytes; glibc refuses more
KEPT = 1 << 30  # bytes that may be free at the top of the heap before they go back by themselves
# Heaps that threads share. By default there are eight for each core, and each keeps what its threads have left.
ARENAS = 2
OWN_SETTINGS = (
    "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_", "MALLOC_ARENA_MAX",
)  # fmt: skip


def keep() -> bool:
    """Let freed memory stay with this process, unless its user has told glibc what to do. Returns whether it does."""
    told = any(name in os.environ for name in OWN_SETTINGS) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if told or not _is_glibc():
        return False
    libc = ctypes.CDLL(None)
    values = {M_ARENA_MAX: ARENAS, M_MMAP_THRESHOLD: LARGEST_MMAP_THRESHOLD, M_TRIM_THRESHOLD: KEPT}
    return all(libc.mallopt(parameter, value) for parameter, value in values.items())


def give_back() -> None:
    """Return free memory to the system; takes milliseconds."""
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _is_glibc() -> bool:
    """Whether the C library has what is asked for here; musl has neither call."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")

"""How the threads of this process share the processor with others: said once, before torch is loaded.

`import ddpo` calls `prepare`, so it holds on every way in: the app, the command line, scripts, their worker processes,
torchrun and the tests. What a user has set in the environment stands.

PyTorch's threads come from libgomp. One that waits for the others spins first, and sleeps only later: by default after
300,000 rounds, which take several milliseconds. Alone that costs nothing. Where another process computes, a spinning
thread takes the core that the other needs, and both become many times slower. So threads spin for less time here, and
hardly at all while other processes of ours compute (see `ddpo.common.company`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

from ddpo.common import allocator
from ddpo.common.machine import cores, host_cores

# Rounds that a thread spins before it sleeps; benchmarks/results/company.json has the figures of others.
SPINS = 100_000
OWN_WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
OWN_NUMBER = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS")


def prepare() -> None:
    """Set threads and memory up for this process and those that it starts. Where torch is loaded, threads stay."""
    if "torch" not in sys.modules:  # libgomp reads its variables when it is loaded
        set_variables(os.environ)
    allocator.keep()


def set_variables(environment: MutableMapping[str, str]) -> None:
    """Add what is not there: how long a thread spins and, where a container has fewer cores than its host, how many.

    How many there are never depends on who else computes: sums are rounded by their order, so pictures would too.

    Args:
        environment: variables that libgomp will read.
    """
    if not any(name in environment for name in OWN_WAITING):
        environment["GOMP_SPINCOUNT"] = str(SPINS)
    if any(name in environment for name in OWN_NUMBER):
        return
    together = int(environment.get("LOCAL_WORLD_SIZE", "1"))  # processes of torchrun on this machine
    threads = max(1, cores() // max(1, together))
    if threads < host_cores():
        environment["OMP_NUM_THREADS"] = str(threads)


def waiting_is_ours() -> bool:
    """Whether nobody has told libgomp how its threads wait, apart from `set_variables` here or in a parent process."""
    return "OMP_WAIT_POLICY" not in os.environ and os.environ.get("GOMP_SPINCOUNT", str(SPINS)) == str(SPINS)

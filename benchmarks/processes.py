"""What a process takes of the machine just now, as Linux tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process takes at one moment."""

    resident_mb: float
    threads: int
    open_files: int
    cpu_seconds: float  # of all its threads since its start


def usage(process_id: int) -> Usage:
    """What a process takes now; raises OSError where there is none of that number any more."""
    folder = Path("/proc") / str(process_id)
    fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    if "VmRSS" not in fields:  # it has ended, and nobody has asked how
        raise ProcessLookupError(f"The process {process_id} has ended.")
    after_name = (folder / "stat").read_text().rpartition(")")[2].split()  # the name may hold anything
    return Usage(
        resident_mb=int(fields["VmRSS"].split()[0]) / 1024,
        threads=int(fields["Threads"]),
        open_files=sum(1 for _ in (folder / "fd").iterdir()),
        cpu_seconds=(int(after_name[11]) + int(after_name[12])) / _TICKS,
    )


def resident(process_id: int) -> float:
    """Resident memory now, in MB."""
    return usage(process_id).resident_mb

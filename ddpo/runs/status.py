"""Where a run stands, as its folder tells it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ddpo.common import typed
from ddpo.common.statistics import PairedStatistics

STATES = ("queued", "starting", "running", "stopped", "finished", "failed", "interrupted")
ACTIVE = ("starting", "running")  # a process trains, or is about to


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands."""

    state: str  # one of STATES
    epoch: int = 0  # done
    epochs: int = 0
    step: int = 0  # done
    steps: int = 0
    seconds: float = 0.0  # of training so far
    seconds_left: float | None = None  # None: not known
    error: str | None = None  # one sentence: why it failed
    notice: str | None = None  # one sentence
    updated: str = ""  # ISO 8601, UTC
    pid: int | None = None  # of the process that trains, or trained last
    host: str | None = None  # the machine of that process
    started: str | None = None  # ISO 8601, UTC: tells one start by a page from another

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"state cannot be {self.state!r}")

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> RunStatus:
        """The status that a file holds, perhaps an earlier version's.

        Raises:
            ValueError: an entry is not what it should be; the message names it.
        """
        status = typed.read(cls, facts)
        if not math.isfinite(status.seconds):
            raise ValueError("seconds cannot be unknown")
        return status


@dataclass(frozen=True)
class ResultFacts:
    """Where a run stood when its result was written, which may be before where it stands now."""

    epoch: int  # done
    step: int  # done
    seconds: float  # of training
    statistics: PairedStatistics | None = None  # of the fixed seeds against the base, by the reward

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> ResultFacts:
        """The facts that a file holds.

        Raises:
            ValueError: an entry is not what it should be; the message names it.
        """
        found = facts.get("statistics")
        if found is not None and not isinstance(found, Mapping):
            raise ValueError("statistics cannot be anything but an object")
        plain = typed.read(cls, {**facts, "statistics": None})
        return cls(plain.epoch, plain.step, plain.seconds, typed.read(PairedStatistics, found) if found else None)


def now_text() -> str:
    """This moment in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def age(moment: str) -> float:
    """Seconds since a moment; infinite where it cannot be read."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    except (TypeError, ValueError):
        return float("inf")

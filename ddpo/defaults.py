"""Which pair a visitor finds chosen: church-256 where it can be drawn in seconds, else the bundled one."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ddpo import hub
from ddpo.catalog import DEFAULT_PAIR, PAIRS
from ddpo.estimate import has_gpu, on_zero_gpu

LARGE_PAIR = "church-256-aesthetic"


@dataclass(frozen=True)
class Choice:
    """A pair, and why it was chosen."""

    pair: str  # its name
    reason: str  # one sentence for the page


@functools.cache
def choose() -> Choice:
    """The pair to begin with, decided once a process.

    Without a GPU, or with the weights in the cache, it takes no time; else the Hub has hub.SECONDS_TO_PROBE to answer.
    """
    large, small = PAIRS[LARGE_PAIR], PAIRS[DEFAULT_PAIR]
    instead = f"Begins with {small.title}: "
    if not (has_gpu() or on_zero_gpu()):
        return Choice(small.name, f"{instead}there is no GPU here, and church-256 would take about a minute a picture.")
    if not large.missing:
        return Choice(large.name, f"Begins with {large.title}: there is a GPU, and the weights are in the cache.")
    lacking = " and ".join(large.missing)
    if all(hub.answers(hub.need(source)) for source in large.missing):
        return Choice(large.name, f"Begins with {large.title}: there is a GPU, and the Hub has {lacking} to download.")
    return Choice(
        small.name,
        f"{instead}{lacking} for church-256 is not in the cache, and the Hugging Face Hub cannot be reached.",
    )

"""Events of long work as the page gets them: computed in one thread, and not more often than a page can draw them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TypeVar

from ddpo.comparison.events import Progress
from ddpo.ui.shared import places
from ddpo.ui.shared.one_thread import in_one_thread

HEARTBEAT = 0.5  # seconds between two events that are passed on; work that is cancelled stops at the next one
LONGEST = 1.0  # seconds between two of work that goes on for long, as a phone draws an event in a tenth of a second
SHARE = 0.05  # of the time so far, which the interval grows to between the two
T = TypeVar("T")


def in_beats(events: Iterator[Progress | T]) -> Iterator[Progress | T]:
    """The same events by one thread, with one Progress a HEARTBEAT, later one in LONGEST; previews, new stages and
    results come at once.
    """
    stage, begun, passed_on = "", time.monotonic(), 0.0
    with closing(in_one_thread(events)) as followed:
        for event in followed:
            if not isinstance(event, Progress):
                yield event
                continue
            now = time.monotonic()
            interval = min(LONGEST, max(HEARTBEAT, SHARE * (now - begun)))
            if event.previews is not None or event.stage != stage or now - passed_on >= interval:
                stage, passed_on = event.stage, now
                yield event


def waiting_to_compare() -> Iterator[Progress]:
    """Take the place for comparisons, which whoever follows this gives back; meanwhile, what is waited for."""
    while not places.COMPARING.take(HEARTBEAT):
        yield Progress("Waiting for another comparison", 0, 0)

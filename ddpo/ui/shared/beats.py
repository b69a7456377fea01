"""Events of long work as the page gets them: computed in one thread, and not more often than a page can draw them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TypeVar

from ddpo.comparison.events import Progress
from ddpo.ui.shared import places
from ddpo.ui.shared.one_thread import in_one_thread

HEARTBEAT = 0.25  # seconds between two events that are passed on; work that is cancelled stops at the next one
T = TypeVar("T")


def in_beats(events: Iterator[Progress | T]) -> Iterator[Progress | T]:
    """The same events by one thread, with one Progress a HEARTBEAT; previews, new stages and results come at once."""
    stage, passed_on = "", 0.0
    with closing(in_one_thread(events)) as followed:
        for event in followed:
            if not isinstance(event, Progress):
                yield event
                continue
            now = time.monotonic()
            if event.previews is not None or event.stage != stage or now - passed_on >= HEARTBEAT:
                stage, passed_on = event.stage, now
                yield event


def waiting_to_compare() -> Iterator[Progress]:
    """Take the place for comparisons, which whoever follows this gives back; meanwhile, what is waited for."""
    while not places.COMPARING.take(HEARTBEAT):
        yield Progress("Waiting for another comparison", 0, 0)

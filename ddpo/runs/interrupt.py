"""Signals that end a run in good order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Ctrl-C and SIGTERM as a wish to stop after the step; a second one stops at once."""

    def __init__(self) -> None:
        self.wished = False

    @contextmanager
    def caught(self) -> Iterator[Interrupt]:
        """Within the block; outside of a main thread, which gets no signals, nothing is caught."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        try:
            before = [signal.signal(number, self._on_signal) for number in numbers]
        except ValueError:
            yield self
            return
        try:
            yield self
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True

"""Places for work that fills the memory: so many at once, whichever way it came here.

The page's queue lets no more than that many through, so that nobody waits here for long. Yet it is here that the limit
holds, since a function of the page can be called in more ways than through the queue.
"""

from __future__ import annotations

from threading import BoundedSemaphore


class Places:
    """So many pieces of work at a time; safe to be shared between threads."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = BoundedSemaphore(count)

    def take(self, seconds: float) -> bool:
        """Take a place, waiting for it so long at most; whether one was had."""
        return self._free.acquire(timeout=seconds)

    def give_back(self) -> None:
        """Free a place that was taken.

        Raises:
            ValueError: none was.
        """
        self._free.release()


COMPARING = Places(1)  # a comparison uses every core, and holds two models
SCORING = Places(2)  # a picture of 2048 x 2048 pixels takes about 1 GB while it is scored

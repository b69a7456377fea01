"""Who still listens for the answer of a job: the streams of events that are open just now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

KEPT = 2000  # keys of which is remembered when they were last heard of

# A tool for language models is called through a client within the app, which listens as long as the tool's caller does.
# The caller's request carries this header on to the job. Nobody can guess the key of another call.
CALL_HEADER = "x-ddpo-call"


class Listeners:
    """How many listen by each key: a session's hash, a job's id or a call of a tool. For the app's thread alone."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._left: dict[str, float] = {}  # when the last one went, by `time.monotonic`

    @contextmanager
    def listening(self, key: str) -> Iterator[None]:
        """Within the block somebody listens by this key."""
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
                self._left[key] = time.monotonic()
                while len(self._left) > KEPT:
                    del self._left[next(iter(self._left))]

    def silence(self, key: str, since: float) -> float:
        """Seconds that nobody has listened by this key; 0 while somebody does.

        Args:
            key: the key.
            since: when somebody could first have listened, by `time.monotonic`.
        """
        if self._open[key]:
            return 0.0
        return time.monotonic() - max(since, self._left.get(key, since))


def new_call() -> str:
    """A key for a call of a tool."""
    return uuid4().hex

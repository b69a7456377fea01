"""Events that one thread computes, whichever thread asks for them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ddpo.common.machine import has_gpu

T = TypeVar("T")


def in_one_thread(events: Iterator[T]) -> Generator[T]:
    """The same events, all computed by one thread; Gradio asks for each from whichever thread is free.

    libgomp makes a team of threads for every thread that computes. Where these are more than there are cores, they
    sleep at every wait, and a comparison gets little more than one core.
    """
    if has_gpu():
        yield from events
        return

    def following() -> T | None:
        return next(events, None)

    with ThreadPoolExecutor(1, "comparison") as thread:
        try:
            while (event := thread.submit(following).result()) is not None:
                yield event
        finally:
            thread.submit(events.close).result()  # type: ignore[attr-defined]

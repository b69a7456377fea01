"""A comparison of the app is computed by one thread, whichever thread asks for its events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from ddpo.ui.shared import one_thread


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_thread, "has_gpu", lambda: False)


def test_the_events_are_computed_by_one_thread_and_asked_for_by_several() -> None:
    computed_by = []

    def events() -> Iterator[int]:
        for number in range(4):
            computed_by.append(threading.get_ident())
            yield number

    found: list[int] = []
    with closing(one_thread.in_one_thread(events())) as passed_on:
        for _ in range(4):
            asker = threading.Thread(target=lambda: found.append(next(passed_on)))
            asker.start()
            asker.join()
    assert found == [0, 1, 2, 3]
    assert len(set(computed_by)) == 1 and computed_by[0] != threading.get_ident()


def test_closing_and_failing_reach_through() -> None:
    closed_by = []

    def events() -> Iterator[int]:
        try:
            yield 1
            raise OSError("the disk is gone")
        finally:
            closed_by.append(threading.current_thread().name)

    with closing(one_thread.in_one_thread(events())) as passed_on:
        assert next(passed_on) == 1
    assert len(closed_by) == 1 and closed_by[0].startswith("comparison")
    with pytest.raises(OSError, match="the disk is gone"):
        list(one_thread.in_one_thread(events()))
    assert len(closed_by) == 2

"""The arithmetic of the long measurements: drift, epochs' costs, and what is a refusal; the runs are commands."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import httpx
import pytest

from benchmarks.drift import drift_percent, slope
from benchmarks.hour_figures import epoch_costs, look_costs, memory_rises
from benchmarks.soak_visitor import Failed, refusal
from benchmarks.visitors import broken


def epoch(at: float, go: int, number: int, cpu: float, resident: float = 700.0, looks: int = 0) -> dict[str, Any]:
    takes = {"cpu_seconds": cpu, "resident_mb": resident}
    return {"elapsed": at, "call": 1, "go": go, "epoch": number, "worker": takes, "app": takes, "looks": looks}


def test_a_quarter_of_outliers_does_not_move_the_slope() -> None:
    noise = random.Random(0)
    places = [float(place) for place in range(200)]
    values = [5 + 0.02 * place + noise.gauss(0, 0.05) for place in places]
    disturbed = [value + (40 if noise.random() < 0.25 else 0) for value in values]
    assert slope(places, values) == pytest.approx(0.02, abs=0.0005)
    assert slope(places, disturbed) == pytest.approx(0.02, abs=0.008)
    assert drift_percent(places, values) == pytest.approx(100 * 0.02 * 199 / 7, rel=0.05)


def test_a_line_needs_two_places() -> None:
    with pytest.raises(ValueError, match="no two points"):
        slope([3, 3], [4, 5])


def test_an_epoch_costs_what_its_process_took_and_only_where_it_was_seen_whole() -> None:
    lines = [
        epoch(0, 1, 0, 10), epoch(4, 1, 1, 14), epoch(7, 1, 2, 17), epoch(10, 1, 3, 20), epoch(16, 1, 5, 26),
        epoch(30, 2, 4, 10), epoch(34, 2, 5, 15), epoch(38, 2, 6, 18.5),
    ]  # fmt: skip
    assert epoch_costs(lines) == [(7, 3), (10, 3), (38, 3.5)]


def test_a_worker_that_grows_is_found_within_a_go_and_one_that_starts_larger_from_go_to_go() -> None:
    steady = [epoch(at, go, at, 0, 700) for go in range(3) for at in range(20 * go, 20 * go + 20)]
    growing = [epoch(at, go, at, 0, 700 + 10 * (at % 20)) for go in range(3) for at in range(20 * go, 20 * go + 20)]
    larger = [epoch(at, go, at, 0, 700 + 100 * go) for go in range(3) for at in range(20 * go, 20 * go + 20)]
    assert memory_rises(steady, "worker", "go") == (0, 0)
    assert memory_rises(growing, "worker", "go")[0] > 15
    assert memory_rises(growing, "worker", "go")[1] == 0
    assert memory_rises(larger, "worker", "go")[0] == 0 and memory_rises(larger, "worker", "go")[1] > 20


def test_a_look_costs_what_the_app_took_by_the_looks_of_that_time() -> None:
    lines = [epoch(at, 1, at, 0.01 * at if at <= 10 else 0.1 + 0.04 * (at - 10), looks=at) for at in range(21)]
    assert look_costs(lines) == {"first tenth": 10, "last tenth": 40}


def test_only_a_full_queue_may_refuse_what_is_right() -> None:
    full = "The queue is full: 64 jobs wait already. Try again when some of them are done."
    assert refusal(httpx.Response(503, json={"detail": full})) == "refused: the queue is full"
    assert refusal(httpx.Response(422, json={"detail": "compare has no parameter 'stps'."})) == "refused"
    for status, said in ((503, "Queue is stopped."), (500, "Internal Server Error"), (507, full)):
        with pytest.raises(Failed, match=f"HTTP {status}"):
            refusal(httpx.Response(status, json={"detail": said}))


def test_bounds_of_the_queue_are_told_by_what_breaks_them() -> None:
    said = "8 of your jobs wait already, and no more may; ask again when one of them is done."
    good: Any = (Counter({200: 9, 503: 91}), Counter({said: 91}), False, [3.0, 4.0], [(1.0, 5.0), (3.9, 8.0)])
    assert broken(*good) == []
    assert broken(Counter({500: 1}), Counter({"Busy": 1}), True, [3.0], [(3.6, 6.0)]) == [
        "The queue gave other answers than taken and full.", "A refusal was none of the promised sentences.",
        "An answer was not given at once.", "The other visitor waited for more than one job.",
    ]  # fmt: skip

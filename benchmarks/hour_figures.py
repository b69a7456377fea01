"""What an hour of small epochs shows, and the bounds that it must keep."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from benchmarks.drift import drift_percent
from ddpo.runs.store import Run

Line = dict[str, Any]
SETTLED = 3  # epochs, or moments of the app, after which memory should stay what it is
BOUNDS = {
    "CPU seconds of an epoch rise beyond the yardstick's, percent": 10.0,  # the machine's own pace is no drift of ours
    "memory of the worker rises within a go, percent": 10.0,
    "memory of the worker rises from go to go, percent": 10.0,
    "memory of the app rises, percent": 10.0,
    "looks of the page that failed": 0,
    "epochs lost by a stop": 0,
    "seconds lost by a kill": 120.0,  # a checkpoint every 20 s, or 20 times what saving takes, and the epoch behind it
    "files beside the pictures of the epochs": 16,
    "pictures beyond one an epoch and the base's": 0,
    "epochs that are missing or told twice": 0,
    "tracebacks in the logs": 0,
}


def figures(lines: Sequence[Line], run: Run) -> dict[str, Any]:
    """Everything that is reported.

    Args:
        lines: as benchmarks/hour.py keeps them.
        run: whose folder is looked at too.
    """
    epochs = [line for line in lines if line["kind"] == "epoch"]
    breaks = [line for line in lines if line["kind"] in ("stop", "kill")]
    moments = [line for line in lines if line["kind"] == "moment"]
    if len(epochs) < 3 or len(moments) < 3:
        return {"epochs": len(epochs), "broken": ["nothing was measured yet"]}
    cost = epoch_costs(epochs)
    looks = [ms for line in epochs for ms in line["look_ms"]]
    found = {
        "minutes": round(max(line["elapsed"] for line in lines) / 60, 1),
        "epochs": epochs[-1]["epoch"], "goes": epochs[-1]["go"],
        "stops": sum(line["kind"] == "stop" for line in breaks),
        "kills": sum(line["kind"] == "kill" for line in breaks),
        "cpu_seconds_of_an_epoch": spread([value for _, value in cost]),
        "yardstick_ms": spread([line["yardstick"] for line in epochs]),
        "cpu_drift_percent": _drift(cost), "yardstick_drift_percent": _pace(epochs),
        "worker_mb": spread([line["worker"]["resident_mb"] for line in epochs]),
        "app_mb": spread([line["app"]["resident_mb"] for line in moments]),
        "calls": epochs[-1]["call"], "looks": len(looks), "look_ms": spread(looks),
        "app_cpu_ms_of_a_look": look_costs(moments),
        "seconds_to_train_again": spread([line["seconds_to_train_again"] for line in breaks]),
        "failures_of_looks": sorted({text for line in epochs for text in line["failures"]}),
    }  # fmt: skip
    measured = _bounded(epochs, breaks, moments, cost, run)
    broken = [f"{name}: {measured[name]}, and {bound} is the most" for name, bound in BOUNDS.items()
              if measured[name] > bound]  # fmt: skip
    return {**found, "bounds": {n: {"measured": measured[n], "most": b} for n, b in BOUNDS.items()}, "broken": broken}


def _bounded(
    epochs: Sequence[Line],
    breaks: Sequence[Line],
    moments: Sequence[Line],
    cost: Sequence[tuple[float, float]],
    run: Run,
) -> dict[str, float]:
    """What BOUNDS are for, by the same names."""
    within, between = memory_rises(epochs, "worker", "go")
    furthest = accumulate((line["epoch"] for line in epochs), max)  # a kill leaves pictures of epochs that come again
    told = [epoch.epoch for epoch in run.epochs()]
    logs = (path.read_text(errors="replace") for path in (run.folder / "log.txt", run.root.parent / "app.log"))
    lost = {kind: [line for line in breaks if line["kind"] == kind] for kind in ("stop", "kill")}
    return {
        "CPU seconds of an epoch rise beyond the yardstick's, percent": _beyond(_drift(cost), _pace(epochs)),
        "memory of the worker rises within a go, percent": within,
        "memory of the worker rises from go to go, percent": between,
        "memory of the app rises, percent": memory_rises(moments, "app", "call")[0],
        "looks of the page that failed": sum(
            max(len(line["failures"]) for line in epochs if line["call"] == call)
            for call in {o["call"] for o in epochs}
        ),
        "epochs lost by a stop": max((line["epoch"] - line["epoch_after"] for line in lost["stop"]), default=0),
        "seconds lost by a kill": max((line["seconds_lost"] for line in lost["kill"]), default=0.0),
        "files beside the pictures of the epochs": max(line["files"] for line in epochs),
        "pictures beyond one an epoch and the base's": max(
            line["samples"] - best - 2 for line, best in zip(epochs, furthest, strict=True)
        ),
        "epochs that are missing or told twice": len(set(told) ^ set(range(1, len(told) + 1))),
        "tracebacks in the logs": sum(log.count("Traceback") for log in logs),
    }


def _pace(epochs: Sequence[Line]) -> float:
    """By how many percent the same small work took longer in the end: what the machine did by itself."""
    return _drift([(line["elapsed"], line["yardstick"]) for line in epochs])


def _beyond(percent: float, other: float) -> float:
    """A rise by so many percent as one beyond another."""
    return round(100 * ((100 + percent) / (100 + other) - 1), 2)


def epoch_costs(epochs: Iterable[Line]) -> list[tuple[float, float]]:
    """When each epoch that was seen whole ended, in seconds, and its CPU seconds.

    The first of a go is left out, as it also pays for what is loaded late.
    """
    costs, age = [], 0
    for one, other in pairwise(epochs):
        age = age + 1 if one["go"] == other["go"] else 0
        if age > 1 and other["epoch"] == one["epoch"] + 1:
            seconds = other["worker"]["cpu_seconds"] - one["worker"]["cpu_seconds"]
            costs.append((other["elapsed"], seconds))
    return costs


def memory_rises(lines: Iterable[Line], whose: str, lives: str) -> tuple[float, float]:
    """By how many percent memory rises: within the longest life of a process, and from the first lives to the last.

    Args:
        lines: each with what the process took.
        whose: "worker" or "app".
        lives: what numbers the processes, "go" or "call".
    """
    by_life: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        by_life[line[lives]].append(line)
    settled = [[line[whose]["resident_mb"] for line in life[SETTLED:]] for life in by_life.values()]
    settled = [values for values in settled if len(values) > 1]
    if not settled:
        return 0.0, 0.0
    return rise_percent(max(settled, key=len)), rise_percent([statistics.median(values) for values in settled])


def rise_percent(values: Sequence[float]) -> float:
    """By how much the median of the last tenth lies above that of the first."""
    part = max(1, len(values) // 10)
    return round(100 * (statistics.median(values[-part:]) / statistics.median(values[:part]) - 1), 2)


def look_costs(moments: Sequence[Line]) -> dict[str, float]:
    """CPU milliseconds of the app for one look of the page, in the first and in the last tenth of its longest life."""
    calls = Counter(line["call"] for line in moments)
    life = [line for line in moments if line["call"] == calls.most_common(1)[0][0]]
    part = max(1, len(life) // 10)
    return {
        name: round(
            1000 * (two["app"]["cpu_seconds"] - one["app"]["cpu_seconds"]) / max(1, two["looks"] - one["looks"])
        )
        for name, one, two in (("first tenth", life[0], life[part]), ("last tenth", life[-1 - part], life[-1]))
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile, least and most; nothing of nothing."""
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 3), "p95": round(ordered[math.ceil(0.95 * len(ordered)) - 1], 3),
        "least": round(ordered[0], 3), "most": round(ordered[-1], 3), "count": len(ordered),
    }  # fmt: skip


def _drift(points: Sequence[tuple[float, float]]) -> float:
    places, values = zip(*points, strict=True) if points else ((), ())
    return round(drift_percent(places, values), 2) if len(set(places)) > 1 else 0.0

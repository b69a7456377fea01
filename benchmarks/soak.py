"""Sixteen clients for ten minutes beside a training run, and what the app takes meanwhile.

    python -m benchmarks.soak --minutes 10 --clients 16

A lone client first has every comparison, every score and an evaluation once. Then the run is started, and each client
does one thing after another, drawn by the shares in benchmarks/soak_deeds.py. An answer must be the lone client's, byte
by byte. A refusal of a full queue, as docs/api.md promises it, is an answer too and is counted by its kind. The figures
go to benchmarks/results/soak.json. The exit code is 1 where a bound of BOUNDS is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.app import start_app
from benchmarks.hour_figures import spread
from benchmarks.machine import describe_machine
from benchmarks.soak_deeds import COMPARISONS, EVALUATION, SHARES, Expected, good_pictures
from benchmarks.soak_visitor import Failed, Tally, Visitor
from benchmarks.soak_watch import Watch
from ddpo.runs.store import list_runs
from ddpo.ui.page import MOST_VISITS
from tests.helpers.here import ROOT, free_port
from tests.helpers.serving import RunningApp

RESULTS = ROOT / "benchmarks" / "results" / "soak.json"
RUN = {"batches_per_epoch": 1, "batch_size": 8, "accumulation": 1}
EPOCHS = 100_000  # more than there is time for
SETTLE = 180.0  # seconds at the most until nothing waits any more; jobs without a listener go on for 120
BOUNDS = {
    "requests that failed": 0,
    "answers that a lone client did not get": 0,
    "failures of the run": 0,
    "tracebacks in the log": 0,
    "memory at the most above rest, MB": 1500,  # two scorings of 600 MB at the most, a comparison, and 16 requests
    "memory in the end above rest, percent": 10,
    "threads at the most": 128,  # 40 of anyio, 40 of Gradio, torch's, and those of the start
    "open files at the most above rest": 200,  # 16 clients, each with a few connections and a file
    "open files in the end above rest": 16,
    "temporary folders at the most": 8,  # one comparison at a time, and those that are being cancelled
    "temporary folders in the end": 0,
    "MB kept for clients in the end": 200,  # uploads and pictures of a day, equal ones once
    "seconds until nothing waits": SETTLE,
}


@dataclass(frozen=True)
class Ending:
    """How it stands when the clients have gone."""

    settled: float  # seconds until nothing waited
    takes: dict[str, float]  # by the app
    run: dict[str, Any]


def soak(folder: Path, minutes: float, clients: int, tell: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """All figures of so many clients for so many minutes; `tell` gets those that are known when they have gone."""
    temporary, port, log = folder / "tmp", free_port(), folder / "app.log"
    temporary.mkdir()
    variables = {"DDPO_RUNS": folder / "runs", "DDPO_EVALUATIONS": folder / "evaluations", "TMPDIR": temporary}
    process, _ = start_app(port, {name: str(path) for name, path in variables.items()}, log)
    app, tally, watch = RunningApp(f"http://127.0.0.1:{port}", log, 0.0), Tally(), Watch(process.pid, temporary)
    try:
        operator = Visitor(app, None, tally)
        expected = answers_alone(operator)
        rest = at_rest(operator, watch)
        operator.call("start_run", epochs=EPOCHS, settings=RUN)
        with watch.watching():
            together(app, tally, expected, minutes, clients)
        facts = {"clients": clients, "minutes": minutes}
        run = {"state": "running", "epoch": list_runs(folder / "runs")[0].status().epoch}
        tell({**facts, "complete": False, **figures(tally, watch, rest, Ending(0.0, watch.now(), run), app.log)})
        settled, end = settle(operator, watch, rest)
        again = answers_alone(operator, expected)
        tally.different += [f"{name}, afterwards" for name in differences(expected, again)]
        ending = Ending(settled, end, end_of_run(operator, folder / "runs"))
    finally:
        stop_trainers(folder / "runs")
        process.terminate()
        process.wait()
    return {**facts, "complete": True, **figures(tally, watch, rest, ending, app.log)}


def figures(tally: Tally, watch: Watch, rest: dict[str, float], ending: Ending, log: str) -> dict[str, Any]:
    """What is reported, with the bounds."""
    run, most, end = ending.run, watch.most, ending.takes
    measured = {
        "requests that failed": len(tally.failures), "answers that a lone client did not get": len(tally.different),
        "failures of the run": int(run["epoch"] < 1 or run["state"] != "stopped"),
        "tracebacks in the log": log.count("Traceback"),
        "memory at the most above rest, MB": most["resident_mb"] - rest["resident_mb"],
        "memory in the end above rest, percent": round(100 * (end["resident_mb"] / rest["resident_mb"] - 1), 1),
        "threads at the most": most["threads"],
        "open files at the most above rest": most["open_files"] - rest["open_files"],
        "open files in the end above rest": end["open_files"] - rest["open_files"],
        "temporary folders at the most": most["temporary_folders"],
        "temporary folders in the end": end["temporary_folders"], "MB kept for clients in the end": end["kept_mb"],
        "seconds until nothing waits": ending.settled,
    }  # fmt: skip
    return {
        "deeds": sum(map(len, tally.seconds.values())),
        "outcomes": {kind: dict(sorted(found.items())) for kind, found in sorted(tally.outcomes.items())},
        "seconds": {kind: waiting(found) for kind, found in sorted(tally.seconds.items())},
        "failures": tally.failures, "different": tally.different, "run": run,
        "at_rest": rest, "at_the_most": most, "in_the_end": end, "course": watch.course,
        "bounds": {name: {"measured": measured[name], "most": most} for name, most in BOUNDS.items()},
        "broken": [name for name, most in BOUNDS.items() if measured[name] > most],
    }  # fmt: skip


def answers_alone(visitor: Visitor, known: Expected | None = None) -> Expected:
    """What a client gets whom nobody disturbs; `known` has the files that were sent before."""
    from tests.hostile.pictures import PICTURES

    pictures = known.pictures if known else good_pictures()
    return Expected(
        comparisons={place: visitor.comparison(values) for place, values in enumerate(COMPARISONS)},
        evaluation=visitor.evaluation(EVALUATION),
        scores={name: visitor.score(content)[1][0]["score"] for name, content in pictures.items()},
        pictures=pictures,
        hostile=known.hostile if known else {name: picture.make() for name, picture in PICTURES.items()},
    )


def differences(one: Expected, other: Expected) -> list[str]:
    """The answers that are not the same."""
    found = [str(COMPARISONS[place]) for place, digest in one.comparisons.items() if other.comparisons[place] != digest]
    found += ["the evaluation"] if one.evaluation != other.evaluation else []
    return found + [f"score of {name}" for name, score in one.scores.items() if other.scores[name] != score]


def at_rest(visitor: Visitor, watch: Watch) -> dict[str, float]:
    """What the app takes once it has seen as many visitors as it remembers, each kind of work and the largest file."""
    for _ in range(MOST_VISITS + 20):
        visitor.call("list_runs", limit=5)
    time.sleep(2)
    return watch.now()


def together(app: RunningApp, tally: Tally, expected: Expected, minutes: float, clients: int) -> None:
    """Let so many clients do what they do, side by side, for so long."""
    ends = time.monotonic() + 60 * minutes
    threads = [
        threading.Thread(target=carry_on, args=(app, number, tally, expected, ends), daemon=True)
        for number in range(1, clients + 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def carry_on(app: RunningApp, number: int, tally: Tally, expected: Expected, ends: float) -> None:
    """One client: one thing after another until the time is up."""
    visitor = Visitor(app, number, tally)
    kinds, weights = list(SHARES), [share for share, _ in SHARES.values()]
    with closing(visitor.http):
        while time.monotonic() < ends:
            kind, begun = visitor.random.choices(kinds, weights)[0], time.monotonic()
            try:
                outcome = SHARES[kind][1](visitor, expected)
            except (Failed, httpx.HTTPError, OSError, ValueError, LookupError, TypeError, StopIteration) as error:
                outcome = "failed"
                tally.failures.append(f"{kind}: {type(error).__name__} {error}")
                print(tally.failures[-1], file=sys.stderr, flush=True)
            tally.outcomes[kind][outcome] += 1
            tally.seconds[kind].append(time.monotonic() - begun)
            time.sleep(visitor.random.uniform(0, 0.2))


def settle(visitor: Visitor, watch: Watch, rest: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Wait until a comparison has its turn and what was temporary is gone; the seconds, and what the app takes then."""
    begun = time.monotonic()
    visitor.comparison(COMPARISONS[0])
    while time.monotonic() - begun < SETTLE:
        end = watch.now()
        more = end["open_files"] - rest["open_files"]
        if end["temporary_folders"] == 0 and more <= BOUNDS["open files in the end above rest"]:
            break
        time.sleep(1)
    return round(time.monotonic() - begun, 1), end


def end_of_run(visitor: Visitor, root: Path) -> dict[str, Any]:
    """Stop the run; where it stands then."""
    visitor.call("stop_run")
    run, deadline = list_runs(root)[0], time.monotonic() + 120
    while run.status().state in ("starting", "running") and time.monotonic() < deadline:
        time.sleep(0.2)
    status = asdict(run.status())
    return {name: status[name] for name in ("state", "epoch", "seconds", "error")}


def stop_trainers(root: Path) -> None:
    """End what still trains after a failure."""
    for run in list_runs(root):
        if (facts := run.trainer()) is not None:
            os.kill(facts["pid"], signal.SIGKILL)


def waiting(seconds: list[float]) -> dict[str, float]:
    """How long requests of a kind took, the queue included."""
    found = spread(seconds)
    return {name: round(found[name], 2) for name in ("count", "median", "p95", "most")}


def main() -> None:
    """Measure, print and write; ends with 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    random.seed(0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    conditions = {"machine": describe_machine(), "threads": os.environ.get("OMP_NUM_THREADS", "as many as cores")}

    def write(found: dict[str, Any]) -> dict[str, Any]:
        results = {**conditions, **found}
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        return results

    with tempfile.TemporaryDirectory() as folder:
        results = write(soak(Path(folder), options.minutes, options.clients, write))
    print(json.dumps(results, indent=2))
    sys.exit(1 if results["broken"] else 0)


if __name__ == "__main__":
    main()

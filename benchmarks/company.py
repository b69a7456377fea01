"""What two at once cost: a comparison beside a training run, and two comparisons, each alone and together.

    python -m benchmarks.company
    python -m benchmarks.company --part training --rounds 2     # or comparisons, or steps

The app and `train_space.py` run once with threads and allocator as libgomp and glibc have them by themselves, and once
as `ddpo.common.threads` sets them up. A comparison is DDIM 25 with eight seeds through the endpoint. `steps` times
one evaluation of church-64's network, and one with its gradients, for several lengths of spinning. Writes
benchmarks/results/company.json. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from gradio_client import Client

from benchmarks.app import start_app
from benchmarks.machine import describe_machine
from benchmarks.step_worker import BATCHES, Worker
from ddpo.common import threads
from ddpo.runs.store import list_runs
from tests.helpers.here import ROOT, free_port

RESULTS = ROOT / "benchmarks" / "results" / "company.json"
# What a user has set stands, so these bring back what libgomp and glibc do by themselves: their own defaults, said.
UNTOUCHED = {"GOMP_SPINCOUNT": "300000", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=7"}
Settings = dict[str, dict[str, str]]  # variables by what they are called
SETTINGS: Settings = {"by themselves": UNTOUCHED, "as set up": {}}
COMPARISON: dict[str, Any] = {"scheduler": "ddim", "steps": 25, "samples": 8}
TRAINING = [
    "--reward", "photographic", "--epochs", "1000", "--batches-per-epoch", "2", "--batch-size", "8",
    "--accumulation", "1", "--group-size", "4", "--sampling-steps", "16",
]  # fmt: skip
WINDOW = 10.0  # seconds of training that are watched, at the least
SPINS = ("100000", "10000", "1000", "0")  # 300000 are libgomp's own; 0 is what OMP_WAIT_POLICY=PASSIVE means
BURST = 0.4  # seconds of one measurement of a step
ROUNDS = 5


def main() -> None:
    """Measure, print and write; the part that is not asked for keeps what the file has."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.company", description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each measurement (default: {ROUNDS})")
    parser.add_argument("--setting", choices=SETTINGS, action="append", help="default: both, in turns")
    options = parser.parse_args()
    settings = {name: SETTINGS[name] for name in options.setting or SETTINGS}
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results |= {"machine": describe_machine(), "spins": threads.SPINS}
    for part in options.part or PARTS:
        results[part] = {**results.get(part, {}), **PARTS[part](options.rounds, settings)}
        print(json.dumps(results[part], indent=2), flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


# Whole comparisons and runs -------------------------------------------------------------------------------------------


def measure_comparisons(rounds: int, settings: Settings) -> dict[str, Any]:
    """Seconds of a comparison alone, and of each of two at once, for the settings in turns."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in settings}
    with ExitStack() as stack:
        apps = {name: [stack.enter_context(_app(set_)) for _ in range(2)] for name, set_ in settings.items()}
        for _ in range(rounds):
            for name, clients in apps.items():
                _add(found[name], "alone", [compare(clients[0])])
                _add(found[name], "two at once, each", both(*(partial(compare, client) for client in clients)))
    return {name: _summary(rows) for name, rows in found.items()}


def measure_training(rounds: int, settings: Settings) -> dict[str, Any]:
    """Seconds of a comparison and epochs a minute of a run, alone and together, for the settings in turns."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in settings}
    with ExitStack() as stack:
        apps = {name: stack.enter_context(_app(variables)) for name, variables in settings.items()}
        for _ in range(rounds):
            for name, client in apps.items():
                _add(found[name], "comparison alone", [compare(client), compare(client)])
                with training(settings[name]) as pace:
                    _add(found[name], "epochs a minute alone", [pace()])
                    _add(found[name], "comparison together", _while(pace, partial(compare, client), found[name]))
    return {name: _summary(rows) for name, rows in found.items()}


def compare(client: Client) -> float:
    """Seconds of a comparison through the endpoint."""
    started = time.perf_counter()
    client.predict(**COMPARISON, api_name="/compare")
    return time.perf_counter() - started


def both(one: Callable[[], float], other: Callable[[], float]) -> list[float]:
    """What two calls at the same time return."""
    with ThreadPoolExecutor(2) as pool:
        return [call.result() for call in [pool.submit(one), pool.submit(other)]]


def _while(pace: Callable[[], float], call: Callable[[], float], found: dict[str, list[float]]) -> list[float]:
    """Call again and again while the pace of a run is measured; what the calls returned."""
    seconds = []
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(pace)
        while not beside.done():
            seconds.append(call())
        _add(found, "epochs a minute together", [beside.result()])
    return seconds


@contextmanager
def _app(variables: dict[str, str]) -> Iterator[Client]:
    """The app, which has compared once: the first one imports torch and loads the models."""
    port = free_port()
    process, _ = start_app(port, variables)
    try:
        client = Client(f"http://127.0.0.1:{port}/", verbose=False)
        compare(client)
        yield client
    finally:
        process.terminate()
        process.wait()


@contextmanager
def training(variables: dict[str, str]) -> Iterator[Callable[[], float]]:
    """A run that trains within the block; yields what measures its epochs a minute."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train_space.py", "--root", folder, "start", *TRAINING]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
        try:
            while not list_runs(Path(folder)):
                time.sleep(0.1)
            run = list_runs(Path(folder))[0]

            def next_epoch() -> tuple[int, float]:
                epoch = run.stored_status().epoch
                while run.stored_status().epoch == epoch:
                    if process.poll() is not None:
                        raise SystemExit("The run has ended.")
                    time.sleep(0.02)
                return run.stored_status().epoch, time.perf_counter()

            def pace() -> float:
                first, started = next_epoch()
                epoch, now = first, started
                while now - started < WINDOW:
                    epoch, now = next_epoch()
                return 60 * (epoch - first) / (now - started)

            next_epoch()
            yield pace
        finally:
            process.terminate()
            process.wait()


def _add(found: dict[str, list[float]], name: str, values: list[float]) -> None:
    found.setdefault(name, []).extend(values)


def _summary(found: dict[str, list[float]]) -> dict[str, Any]:
    """The median of everything, and its lowest and highest value."""
    return {
        name: {"median": round(statistics.median(values), 2), "range": [round(min(values), 2), round(max(values), 2)]}
        for name, values in found.items()
    }


# Single steps ---------------------------------------------------------------------------------------------------------


def measure_steps(rounds: int, settings: Settings) -> dict[str, Any]:
    """Milliseconds a picture of one step, by kind and batch, alone and in two processes at once, for more settings."""
    more = {f"{spins} spins": {**UNTOUCHED, "GOMP_SPINCOUNT": spins} for spins in SPINS}
    more |= {"one thread": {**UNTOUCHED, "OMP_NUM_THREADS": "1"}, "memory kept": {"GOMP_SPINCOUNT": "300000"}}
    settings = {**settings, **more}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in settings}
    with ExitStack() as stack:
        pairs = {
            name: [stack.enter_context(Worker(variables)) for _ in range(2)] for name, variables in settings.items()
        }
        for worker in chain.from_iterable(pairs.values()):
            worker.wait()
        for kind in ("sampling", "training"):
            for batch in BATCHES:
                for _ in range(rounds):
                    for name, (one, other) in pairs.items():
                        row = f"{kind}, batch {batch}"
                        _add(found[name], f"{row}, alone", [one.measure(kind, batch, BURST)])
                        each = both(*(partial(worker.measure, kind, batch, 2 * BURST) for worker in (one, other)))
                        _add(found[name], f"{row}, two at once", each)
    return {name: _summary(rows) for name, rows in found.items()}


PARTS: dict[str, Callable[[int, Settings], dict[str, Any]]] = {
    "comparisons": measure_comparisons, "training": measure_training, "steps": measure_steps,
}  # fmt: skip

if __name__ == "__main__":
    main()

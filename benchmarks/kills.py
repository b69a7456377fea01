"""The app is killed at random moments while a run trains beside it, and started again: python -m benchmarks.kills

Every other start is killed while it starts, the rest while they compare and hold an upload. What serves next is looked
at: is the list of runs whole, and is anything left of those before. One process trains the run all along. Writes
benchmarks/results/kills.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import describe_machine
from ddpo.runs.store import Run, open_run
from ddpo.ui.shared.uploads import FOLDER
from tests.helpers.here import ROOT, free_port

RESULTS = ROOT / "benchmarks" / "results" / "kills.json"
KILLS = 20
STARTING, SERVING = 4.0, 6.0  # seconds, at the most, until a kill; the app starts in 4 to 10 on 2 cores
EPOCHS = 100_000  # more than a run does meanwhile
PATIENCE = 600.0  # seconds for a start that is not killed, on a machine with much else to do
SETTINGS = {
    "batch_size": 4, "batches_per_epoch": 1, "sampling_steps": 5, "trained_steps": 1, "accumulation": 1,
    "window_first": 0, "window_last": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Life:
    """One start of the app, and what it found of those before."""

    killed_after: float  # seconds
    served_after: float | None  # seconds; None: it was killed before
    left: list[str]  # names of others' files in the folder for temporary files once it served
    runs: int | None  # that it listed
    steps: int  # that the run had done when it was killed


class App:
    """The app in a folder of its own for runs and temporary files.

    Args:
        folder: where both are.
    """

    def __init__(self, folder: Path) -> None:
        self.port, self.temporary, self.runs = free_port(), folder / "temporary", folder / "runs"
        self.temporary.mkdir(exist_ok=True)
        self.log = (folder / "log.txt").open("ab")
        variables = {
            "GRADIO_SERVER_PORT": str(self.port), "GRADIO_ANALYTICS_ENABLED": "False", "DDPO_RUNS": str(self.runs),
            "TMPDIR": str(self.temporary), "HF_HUB_OFFLINE": "1", "DDPO_WARM_UP": "0", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **variables}, stdout=self.log, stderr=self.log,
            start_new_session=True,
        )  # fmt: skip
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE)

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.begun

    def wait(self, seconds: float) -> float | None:
        """Seconds from the start until it serves; None where it does not in time."""
        while (passed := self.age()) < seconds and self.process.poll() is None:
            try:
                if self.client.get("/gradio_api/info", timeout=2).status_code == 200:
                    return round(passed, 2)
            except httpx.HTTPError:
                time.sleep(0.05)
        return None

    def call(self, endpoint: str, **values: Any) -> Any:
        """The last event of an endpoint's answer."""
        posted = self.client.post(f"/gradio_api/call/v2/{endpoint}", json=values)
        events = self.client.get(f"/gradio_api/call/{endpoint}/{posted.raise_for_status().json()['event_id']}").text
        kind, _, data = events.strip().rpartition("data: ")
        if "event: complete" not in kind.splitlines()[-1]:
            raise RuntimeError(f"{endpoint} failed: {data}")
        return json.loads(data)

    def keep_busy(self) -> None:
        """Begin a comparison and an upload, and wait for neither."""
        picture = (ROOT / "assets" / "church-64" / "base.png").read_bytes()
        for call in (
            lambda: self.call("compare", samples=4, steps=200),
            lambda: self.client.post("/gradio_api/upload", files={"files": ("picture.png", picture)}),
        ):
            threading.Thread(target=_quietly, args=(call,), daemon=True).start()

    def found(self) -> tuple[list[str], int]:
        """What others have left in the folder for temporary files, and how many runs it lists."""
        locks = [path / ".lock" for path in self.temporary.glob(f"{FOLDER}*")]
        own = {path.parent for path in locks if path.exists() and f'"pid": {self.process.pid}' in path.read_text()}
        others = sorted(path.name for path in self.temporary.iterdir() if path not in own)
        return others, len(self.call("list_runs", limit=10)[0])

    def kill(self) -> None:
        """SIGKILL, which nothing can be done about."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


def _quietly(call: Any) -> None:
    try:
        call()
    except (httpx.HTTPError, RuntimeError, ValueError):  # it is about to be killed
        return


def measure(kills: int, seed: int) -> dict[str, Any]:
    """Kill the app that many times; see the module."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        app, _ = _served(folder)
        run = open_run(app.runs, app.call("start_run", epochs=EPOCHS, settings=SETTINGS)[0]["id"])
        _wait_until(lambda: run.status().step > 0)
        trainer, begun = run.status().pid, run.status().step
        app.kill()
        lives = [_live(folder, run, moments, starting=number % 2 == 0) for number in range(kills)]
        app, served_after = _served(folder)
        last = Life(0.0, served_after, *app.found(), run.status().step)
        same_process = run.status().pid == trainer and run.status().state == "running"
        app.call("stop_run", run=run.id)
        _wait_until(lambda: run.status().state == "stopped")
        app.process.terminate()
        app.process.wait()
        told = [line["step"] for line in run.metrics() if line["kind"] == "update"]
        served = [life for life in (*lives, last) if life.served_after is not None]
        return {
            "kills": kills,
            "killed_while_starting": sum(life.served_after is None for life in lives),
            "slowest_start_seconds": max(life.served_after or 0.0 for life in served),
            "left_by_the_killed": sorted({entry for life in served for entry in life.left}),
            "left_by_one_that_ended": [path.name for path in app.temporary.glob(f"{FOLDER}*")],
            "every_list_had_the_run": all(life.runs == 1 for life in served),
            "run": {
                "one_process_all_along": same_process, "steps_meanwhile": last.steps - begun,
                "steps_in_order_and_none_twice": told == sorted(set(told)), "has_result": run.has_result(),
            },
            "lives": [asdict(life) for life in lives],
        }  # fmt: skip


def _served(folder: Path) -> tuple[App, float]:
    """The app once it serves, and the seconds that it took."""
    app = App(folder)
    served = app.wait(PATIENCE)
    if served is None:
        raise RuntimeError(f"The app does not start: {(folder / 'log.txt').read_text()[-2000:]}")
    return app, served


def _live(folder: Path, run: Run, moments: random.Random, starting: bool) -> Life:
    """Start the app and kill it, while it starts, or once it serves and is busy."""
    if starting:
        app = App(folder)
        moment = moments.uniform(0.1, STARTING)
        life = Life(moment, app.wait(moment), [], None, run.status().step)
        time.sleep(max(0.0, moment - app.age()))
    else:
        app, served = _served(folder)
        left, runs = app.found()
        app.keep_busy()
        time.sleep(moments.uniform(0.0, SERVING))
        life = Life(round(app.age(), 2), served, left, runs, run.status().step)
    app.kill()
    return life


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("It did not happen in time.")
        time.sleep(0.1)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = {
        "machine": describe_machine(), "date": date.today().isoformat(), "seed": options.seed,
        **measure(options.kills, options.seed),
    }  # fmt: skip
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in results.items() if name != "lives"}, indent=2))


if __name__ == "__main__":
    main()

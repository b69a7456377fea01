"""An hour of small epochs with stops, kills and resumes at random moments, while somebody looks at the page.

    python -m benchmarks.hour --minutes 60

Starts the app, starts a run on it, and writes down after every epoch what the worker and the app take. Whatever is
known so far lies in the folder: called again with it, an hour that was cut off goes on. The figures go to
benchmarks/results/hour.json. The exit code is 1 where a bound of benchmarks/hour_figures.py is broken. CPU seconds are
those of the process, as the machine may be shared; set OMP_NUM_THREADS=1 where it is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.app import start_app
from benchmarks.hour_figures import figures
from benchmarks.machine import describe_machine
from benchmarks.page_viewer import Viewer
from benchmarks.processes import Usage, usage
from ddpo.runs.store import Run, open_run
from tests.helpers.here import ROOT, free_port
from tests.helpers.knocking import LIMITS

RESULTS = ROOT / "benchmarks" / "results" / "hour.json"
TINY = {
    "batches_per_epoch": 1, "batch_size": 8, "accumulation": 1, "sampling_steps": 6, "window_first": 0,
    "window_last": 4, "learning_rate": 1e-6,
}  # fmt: skip
EPOCHS = 100_000  # more than an hour has
BETWEEN = 100.0  # seconds of training between two interruptions, in the mean
PATIENCE = 600.0  # seconds for a run to stop or to start; a machine that is shared may be slow
LOOK = 0.1  # seconds between two looks for a new epoch
MOMENT = 15.0  # seconds between two looks at the app
TOLD = 60.0  # seconds between two writings of the results


class Hour:
    """The app, the run and what is known of them.

    Args:
        folder: with the runs and everything that was measured so far.
        minutes: in which it trains, those of earlier calls included.
        out: file of the results.
        between: seconds of training between two interruptions, in the mean.
    """

    def __init__(self, folder: Path, minutes: float, out: Path, between: float = BETWEEN) -> None:
        self.folder, self.minutes, self.out, self.between = folder, minutes, out, between
        self.log = folder / "hour.jsonl"
        self.lines: list[dict[str, Any]] = []
        if self.log.exists():
            whole = self.log.read_text().rpartition("\n")[0]  # a kill may have torn the last line
            self.lines = [json.loads(line) for line in whole.splitlines()]
            self.log.write_text("".join(f"{line}\n" for line in whole.splitlines()))
        self.before = max((line["elapsed"] for line in self.lines), default=0.0)
        self.call = 1 + max((line["call"] for line in self.lines), default=0)
        self.go = max((line.get("go", 0) for line in self.lines), default=0)
        self.begun, self.noted = time.monotonic(), 0.0
        self.viewer: Viewer | None = None
        self.random = random.Random(int(self.before))
        self.reached: dict[int, float] = {}  # when this go reached an epoch

    @property
    def elapsed(self) -> float:
        """Seconds so far, those of earlier calls included."""
        return self.before + time.monotonic() - self.begun

    def note(self, **facts: Any) -> None:
        """Keep a line, at once on disk."""
        line = {"elapsed": round(self.elapsed, 2), "call": self.call, "go": self.go, **facts}
        self.lines.append(line)
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def carry_out(self) -> dict[str, Any]:
        """Train until the time is up; the figures."""
        port, variables = free_port(), {"DDPO_RUNS": str(self.folder / "runs")}
        process, _ = start_app(port, variables, self.folder / "app.log")
        self.app = process.pid
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, limits=LIMITS) as self.client:
                self.run = self._begin()
                with Viewer(f"http://127.0.0.1:{port}") as self.viewer:
                    self._train()
                    self._stop()
        finally:
            with suppress(OSError, UnboundLocalError, AttributeError):
                os.kill(self._worker(), signal.SIGTERM)
            process.terminate()
            process.wait()
        return self.write(complete=True)

    def write(self, *, complete: bool) -> dict[str, Any]:
        """Write the figures so far."""
        results = {
            "machine": describe_machine(), "threads": os.environ.get("OMP_NUM_THREADS", "as many as cores"),
            "settings": TINY, "complete": complete, **figures(self.lines, self._known_run()),
        }  # fmt: skip
        self.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        return results

    # The run ----------------------------------------------------------------------------------------------------------

    def _begin(self) -> Run:
        """Start the run, or go on with the one that is there."""
        if any((self.folder / "runs").glob("*/run.json")):
            run = self._known_run()
            self._wait(lambda: run.status().state not in ("starting", "running"))  # of a call that was cut off
            self._resume(run)
        else:
            facts = self._ask("start_run", epochs=EPOCHS, settings=TINY)
            run = open_run(self.folder / "runs", facts["id"])
            self._see_it_train(run, None)
        return run

    def _known_run(self) -> Run:
        folder = next((self.folder / "runs").glob("*/run.json")).parent
        return open_run(folder.parent, folder.name)

    def _ask(self, endpoint: str, **values: Any) -> Any:
        """The answer of an endpoint; raises RuntimeError where it is none."""
        event = self.client.post(f"/gradio_api/call/v2/{endpoint}", json=values).json()["event_id"]
        stream = self.client.get(f"/gradio_api/call/{endpoint}/{event}").text
        kind, _, data = stream.strip().rpartition("\ndata: ")
        if not kind.endswith("event: complete"):
            raise RuntimeError(f"{endpoint} answers: {stream}")
        return json.loads(data)[0]

    def _worker(self) -> int:
        """The number of the process that trains; raises ProcessLookupError where that is not ours any more."""
        number = self.run.stored_status().pid
        command = Path(f"/proc/{number}/cmdline")
        if number is None or not command.exists() or self.run.id.encode() not in command.read_bytes():
            raise ProcessLookupError("The process that trains has ended.")
        return number

    def _resume(self, run: Run) -> None:
        before = run.stored_status().pid
        self._ask("resume_run", run=run.id)
        self._see_it_train(run, before)

    def _see_it_train(self, run: Run, before: int | None) -> None:
        """Wait until another process trains than before."""

        def trains() -> bool:
            status = run.stored_status()
            if status.state in ("failed", "finished"):
                raise RuntimeError(f"The run has {status.state}: {status.error}")
            return status.state == "running" and status.pid != before

        self._wait(trains)
        self.go += 1
        self.reached = {run.stored_status().epoch: self.elapsed}

    def _stop(self) -> None:
        self._ask("stop_run", run=self.run.id)
        self._wait(lambda: self.run.status().state == "stopped")

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; raises RuntimeError where it is not in time."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"The run has not come there in {PATIENCE:g} seconds.")
            self._pause()

    def _pause(self) -> None:
        """Wait a moment; now and then note what the app takes."""
        time.sleep(LOOK)
        if self.viewer is not None and self.elapsed - self.noted > MOMENT:
            self.noted = self.elapsed
            self.note(kind="moment", app=_rounded(usage(self.app)), looks=self.viewer.looks)

    # What happens -----------------------------------------------------------------------------------------------------

    def _train(self) -> None:
        interrupted, told, epoch = self.elapsed, self.elapsed, -1
        pause = self.random.expovariate(1 / self.between)
        while self.elapsed < 60 * self.minutes:
            self._pause()
            status = self.run.stored_status()
            if status.state != "running":
                raise RuntimeError(f"The run is {status.state}: {status.error}")
            if status.epoch != epoch:
                epoch = status.epoch
                self.reached.setdefault(epoch, self.elapsed)
                self._measure(epoch)
            if self.elapsed - interrupted > pause:
                self._interrupt(epoch)
                interrupted, pause = self.elapsed, self.random.expovariate(1 / self.between)
            if self.elapsed - told > TOLD:
                self.write(complete=False)
                told = self.elapsed

    def _measure(self, epoch: int) -> None:
        assert self.viewer is not None
        with suppress(ProcessLookupError, FileNotFoundError):
            self.note(
                kind="epoch", epoch=epoch, worker=_rounded(usage(self._worker())), yardstick=yardstick(),
                look_ms=self.viewer.take_milliseconds(), failures=self.viewer.failures,
                files=sum(path.is_file() for path in self.run.folder.rglob("*") if path.parent.name != "samples"),
                samples=sum(1 for _ in (self.run.folder / "samples").iterdir()),
            )  # fmt: skip

    def _interrupt(self, epoch: int) -> None:
        """Stop or kill the run at this moment, and go on with it; now and then the page is loaded anew too."""
        kind, begun = self.random.choice(("stop", "kill")), self.elapsed
        if kind == "stop":
            self._stop()
        else:
            os.kill(self._worker(), signal.SIGKILL)
            self._wait(lambda: self.run.status().state == "interrupted")
        stopped, reached = self.elapsed, self.reached
        if self.viewer is not None and self.random.random() < 0.5:
            self.viewer.open()
        self._resume(self.run)
        after = self.run.stored_status().epoch
        lost = begun - reached.get(after, min(reached.values())) if after < epoch else 0.0
        self.note(
            kind=kind, epoch=epoch, epoch_after=after, seconds_lost=round(lost, 1),
            seconds_to_stop=round(stopped - begun, 1), seconds_to_train_again=round(self.elapsed - stopped, 1),
        )  # fmt: skip


def yardstick() -> float:
    """CPU milliseconds of the same small work each time: they tell how quick the machine is just now."""
    matrix = np.full((256, 256), 0.5, np.float32)
    begun = time.thread_time()
    for _ in range(40):
        np.divide(matrix @ matrix, 128, out=matrix)
    return round(1000 * (time.thread_time() - begun), 2)


def _rounded(found: Usage) -> dict[str, float]:
    return {name: round(value, 2) for name, value in vars(found).items()}


def main() -> None:
    """Measure, print and write; ends with 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hour", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ddpo-hour")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--between", type=float, default=BETWEEN, help="seconds between two interruptions, in the mean")
    parser.add_argument("--figures", action="store_true", help="only work out anew what the folder shows")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    hour = Hour(options.folder, options.minutes, options.out, options.between)
    results = hour.write(complete=hour.before >= 60 * options.minutes) if options.figures else hour.carry_out()
    print(json.dumps(results, indent=2))
    sys.exit(1 if results["broken"] else 0)


if __name__ == "__main__":
    main()

"""How much the memory of the app grows while it is called, and what large uploads leave behind.

    python -m benchmarks.growth --calls 5000

Starts the app, calls it so often that what Gradio remembers of visits is full, and measures from there: as many calls,
each by a program that it has not seen, then every file of tests/hostile, twice. Writes benchmarks/results/growth.json.
The exit code is 1 where memory has grown by more than MOST_GROWTH, or went further up than MOST_ABOVE.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.app import start_app
from benchmarks.machine import describe_machine
from benchmarks.processes import resident
from ddpo.ui.page import MOST_VISITS
from tests.helpers.here import ROOT, free_port

RESULTS = ROOT / "benchmarks" / "results" / "growth.json"
SECONDS = 60.0  # that an answer may take
SETTLING = 3.0  # seconds in which an app gives memory back
MOST_GROWTH = 10.0  # percent, of calls and of uploads
MOST_ABOVE = 600.0  # MB above rest while a file is scored


@contextmanager
def watching(process_id: int) -> Iterator[list[float]]:
    """Within the block, what the resident memory is at the most: the only entry of the list, in MB."""
    most, ended = [resident(process_id)], threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            most[0] = max(most[0], resident(process_id))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()


def call(client: httpx.Client, endpoint: str, data: list[Any]) -> str:
    """Call an endpoint as a program that was never seen before; the stream of events."""
    session = secrets.token_hex(6)
    posted = client.post(f"/gradio_api/call/{endpoint}", json={"data": data, "session_hash": session})
    return client.get(f"/gradio_api/call/{endpoint}/{posted.json()['event_id']}").text


def upload(client: httpx.Client, content: bytes, scorer: str = "photographic") -> str:
    """Upload a file and have it scored; the stream of events."""
    path = client.post("/gradio_api/upload", files={"files": ("picture.png", content)}).json()[0]
    return call(client, "score", [{"path": path, "meta": {"_type": "gradio.FileData"}}, scorer])


def measure_calls(client: httpx.Client, process_id: int, calls: int) -> dict[str, float]:
    """Memory in MB before and after so many calls."""
    for _ in range(MOST_VISITS + 20):
        call(client, "list_runs", [5])
    before, begun = resident(process_id), time.perf_counter()
    for _ in range(calls):
        call(client, "list_runs", [5])
    after, seconds = resident(process_id), time.perf_counter() - begun
    return {
        "calls": calls, "before_mb": round(before), "after_mb": round(after), "seconds": round(seconds, 1),
        "growth_percent": round(100 * (after / before - 1), 1),
    }  # fmt: skip


def measure_uploads(client: httpx.Client, process_id: int, files: list[bytes]) -> dict[str, float]:
    """Memory in MB at rest, at the most, and once all have been scored; after torch has come in with a first one."""
    upload(client, files[-1])
    before = at_rest(process_id)
    with watching(process_id) as most:
        answers = [upload(client, content) for content in files]
    after = at_rest(process_id)
    scored = sum("event: complete" in answer for answer in answers)
    return {
        "uploads": len(files), "scored": scored, "before_mb": round(before), "peak_above_mb": round(most[0] - before),
        "after_mb": round(after), "growth_percent": round(100 * (after / before - 1), 1),
    }  # fmt: skip


def at_rest(process_id: int) -> float:
    """Memory in MB that is held: the least within `SETTLING`, as an app gives memory back after it has answered."""
    until, least = time.monotonic() + SETTLING, resident(process_id)
    while time.monotonic() < until:
        time.sleep(0.1)
        least = min(least, resident(process_id))
    return least


def uploads() -> list[bytes]:
    """The hostile files twice, of which some may be read."""
    from tests.hostile.pictures import PICTURES

    return 2 * [picture.make() for picture in PICTURES.values()]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    port = free_port()
    process, _ = start_app(port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
            results: dict[str, Any] = {
                "machine": describe_machine(),
                "calls": measure_calls(client, process.pid, options.calls),
                "uploads": measure_uploads(client, process.pid, uploads()),
            }
    finally:
        process.terminate()
        process.wait()
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))
    grown = max(float(results[what]["growth_percent"]) for what in ("calls", "uploads"))
    sys.exit(1 if grown > MOST_GROWTH or float(results["uploads"]["peak_above_mb"]) > MOST_ABOVE else 0)


if __name__ == "__main__":
    main()

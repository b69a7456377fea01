"""How long a visitor waits: from the start of Python to the page, and for comparisons through the endpoint.

    python -m benchmarks.app                  # everything
    python -m benchmarks.app --part opened    # the first comparisons of a page that is open, and memory

Writes benchmarks/results/app.json. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file
from PIL import Image

from benchmarks.machine import describe_machine
from tests.helpers.here import ROOT, free_port

RESULTS = ROOT / "benchmarks" / "results" / "app.json"
COMPARISONS: list[dict[str, Any]] = [
    {"scheduler": "ddim", "steps": 50, "samples": 4},  # the first call, which imports torch and loads both models
    {"scheduler": "ddim", "steps": 50, "samples": 4},
    {"scheduler": "ddim", "steps": 50, "samples": 16},
    {"scheduler": "pndm", "steps": 50, "samples": 4},
    {"scheduler": "ddpm", "steps": 1000, "samples": 4},
]
OPEN = 10.0  # seconds that a page has been open
LARGE = 9000  # pixels a side of a large upload


def start_app(
    port: int, more: dict[str, str] | None = None, log: Path | None = None
) -> tuple[subprocess.Popen[bytes], float]:
    """Start `python app.py` and wait for the page; the process and the seconds that it took.

    Args:
        port: that it serves at.
        more: environment variables beside those of this process.
        log: file that gets what it prints; None: its errors are shown, and nothing else.
    """
    variables = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", **(more or {})}
    started = time.perf_counter()
    with nullcontext() if log is None else log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=variables, stdout=file or subprocess.DEVNULL, stderr=file
        )
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                page.read()
            return process, time.perf_counter() - started
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError("The app stopped before it served the page.")


def memory(process_id: int, field: str) -> int:
    """Resident memory in MB, now (VmRSS) or at its largest (VmHWM); 0 where the system does not tell."""
    status = Path(f"/proc/{process_id}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(field)), 0)


def look(port: int) -> None:
    """Do what a browser does once the page is open: set off the events of its load."""
    url = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{url}/config") as answer:
        dependencies = json.load(answer)["dependencies"]
    for event in dependencies:
        if [name for _, name in event["targets"]] == ["load"] and not event["inputs"] and not event["outputs"]:
            body = json.dumps({"data": [], "fn_index": event["id"], "session_hash": "benchmark"}).encode()
            request = urllib.request.Request(
                f"{url}/gradio_api/run/predict", body, {"Content-Type": "application/json"}
            )
            urllib.request.urlopen(request).read()


def compare(client: Client, settings: dict[str, Any]) -> tuple[float, str]:
    """Seconds of a comparison, and what it was computed on."""
    started = time.perf_counter()
    _, _, result = client.predict(**settings, api_name="/compare")
    return round(time.perf_counter() - started, 2), result["compute"]


def measure_visit() -> dict[str, Any]:
    """The page and comparisons of an app that nobody has looked at."""
    port = free_port()
    process, page_seconds = start_app(port)
    try:
        client = Client(f"http://127.0.0.1:{port}/", verbose=False)
        comparisons = []
        for settings in COMPARISONS:
            seconds, compute = compare(client, settings)
            comparisons.append({**settings, "seconds": seconds, "compute": compute})
            print(comparisons[-1], flush=True)
        peak = memory(process.pid, "VmHWM")
    finally:
        process.terminate()
        process.wait()
    return {"page_seconds": round(page_seconds, 2), "comparisons": comparisons, "peak_memory_mb": peak}


def measure_opened() -> dict[str, Any]:
    """The first two comparisons of a page that has been open for a while, and memory before and after large uploads."""
    port = free_port()
    process, page_seconds = start_app(port)
    try:
        client = Client(f"http://127.0.0.1:{port}/", verbose=False)
        look(port)
        time.sleep(OPEN)
        first, second = (compare(client, COMPARISONS[0])[0] for _ in range(2))
        resident = {"after two comparisons": memory(process.pid, "VmRSS")}
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "large.jpg"
            Image.effect_noise((1000, 1000), 60).convert("RGB").resize((LARGE, LARGE)).save(picture, quality=50)
            for _ in range(3):
                client.predict(handle_file(picture), "photographic", api_name="/score")
        resident["after three large uploads"] = memory(process.pid, "VmRSS")
        peak = memory(process.pid, "VmHWM")
    finally:
        process.terminate()
        process.wait()
    return {
        "page_seconds": round(page_seconds, 2), "open_seconds": OPEN, "first": first, "second": second,
        "upload": f"JPEG of {LARGE} x {LARGE} pixels", "memory_mb": {**resident, "at the most": peak},
    }  # fmt: skip


def main() -> None:
    """Measure, print and write; the part that is not asked for keeps what the file has."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app", description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=("visit", "opened"), action="append", help="default: both")
    parts = parser.parse_args().part or ["visit", "opened"]
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if "visit" in parts:
        results = {**results, "machine": describe_machine(), **measure_visit()}
    if "opened" in parts:
        results["opened"] = {"machine": describe_machine(), **measure_opened()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

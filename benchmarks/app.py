"""How long a visitor waits: from the start of Python to the page, and for comparisons through the endpoint.

    python -m benchmarks.app

Writes benchmarks/results/app.json. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gradio_client import Client

from benchmarks.machine import describe_machine

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "app.json"
COMPARISONS: list[dict[str, Any]] = [
    {"scheduler": "ddim", "steps": 50, "samples": 4},  # the first call, which imports torch and loads both models
    {"scheduler": "ddim", "steps": 50, "samples": 4},
    {"scheduler": "ddim", "steps": 50, "samples": 16},
    {"scheduler": "pndm", "steps": 50, "samples": 4},
    {"scheduler": "ddpm", "steps": 1000, "samples": 4},
]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_app(port: int, more: dict[str, str] | None = None) -> tuple[subprocess.Popen[bytes], float]:
    """Start `python app.py` and wait for the page; the process and the seconds that it took."""
    variables = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", **(more or {})}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                page.read()
            return process, time.perf_counter() - started
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError("The app stopped before it served the page.")


def peak_memory(process_id: int) -> int:
    """Largest resident memory so far, in MB; 0 where the system does not tell."""
    status = Path(f"/proc/{process_id}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


def main() -> None:
    """Measure, print and write."""
    port = free_port()
    process, page_seconds = start_app(port)
    try:
        client = Client(f"http://127.0.0.1:{port}/", verbose=False)
        comparisons = []
        for settings in COMPARISONS:
            started = time.perf_counter()
            _, _, result = client.predict(**settings, api_name="/compare")
            seconds = round(time.perf_counter() - started, 2)
            comparisons.append({**settings, "seconds": seconds, "compute": result["compute"]})
            print(comparisons[-1], flush=True)
        memory = peak_memory(process.pid)
    finally:
        process.terminate()
        process.wait()
    results = {
        "machine": describe_machine(),
        "page_seconds": round(page_seconds, 2),
        "comparisons": comparisons,
        "peak_memory_mb": memory,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

"""The memory of the app stays where it is, however many come; 5,000 calls are `python -m benchmarks.growth`."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from benchmarks.app import start_app
from benchmarks.growth import measure_calls, measure_uploads
from tests.helpers.here import free_port
from tests.hostile.pictures import PICTURES

FILES = ("larger than it is scored", "a JPEG of 8,000 a side", "a PNG with 30 MB of text", "a palette")


def test_neither_calls_nor_uploads_make_the_app_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    port = free_port()
    process, _ = start_app(port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            calls = measure_calls(client, process.pid, 60)
            uploads = measure_uploads(client, process.pid, 2 * [PICTURES[name].make() for name in FILES])
    finally:
        process.terminate()
        process.wait()
    assert calls["growth_percent"] < 5, calls
    assert uploads["scored"] == 4 and uploads["growth_percent"] < 10 and uploads["peak_above_mb"] < 600, uploads

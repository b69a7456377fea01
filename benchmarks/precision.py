"""Seconds per sample and evaluation of the bundled network, by precision and memory layout.

    python -m benchmarks.precision

Writes benchmarks/results/precision.json: the figures behind the choices in ddpo/precision.py and ddpo/pipelines.py.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch

import ddpo
from benchmarks.machine import describe_machine
from ddpo.bundle.pretrain import build_unet
from ddpo.precision import choose_compute

RESULTS = Path(__file__).resolve().parent / "results" / "precision.json"
BATCH, REPEATS = 8, 9


@torch.no_grad()
def milliseconds(precision: str, channels_last: bool) -> float:
    """Of one sample in one evaluation, best of REPEATS at batch BATCH."""
    compute = choose_compute(precision)  # type: ignore[arg-type]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    unet = build_unet().eval().to(compute.device, memory_format=layout)
    x, t = torch.randn(BATCH, 3, 64, 64, device=compute.device), torch.tensor(500, device=compute.device)
    times = []
    for _ in range(REPEATS + 2):  # two to warm up
        started = time.perf_counter()
        with compute.autocast():
            unet(x, t).sample.float().sum().item()
        times.append(time.perf_counter() - started)
    return min(times[2:]) / BATCH * 1000


def main() -> None:
    """Measure, print and write."""
    rows = [
        {"precision": precision, "channels_last": last, "milliseconds": round(milliseconds(precision, last), 2)}
        for precision in ("float32", "bfloat16")
        for last in (False, True)
    ]
    results = {"machine": describe_machine(), "batch": BATCH, "ddpo": ddpo.__version__, "rows": rows}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

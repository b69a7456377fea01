"""church-64's network compiled ahead of time (DDPO_AOT=1) against the plain one, on the CPU.

    python -m benchmarks.aot                       # both precisions, compiled anew
    python -m benchmarks.aot float32 --keep        # one, with the package that an earlier run has left

Writes benchmarks/results/aot.json: seconds to compile, the processor's seconds for an evaluation and picture of both,
taken in turns, and how far their outputs are apart. Other work on the machine counts little in the processor's time,
but for what it takes of the caches; the ratio is what to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

import ddpo
from benchmarks.machine import describe_machine
from ddpo.diffusion import compiled
from ddpo.diffusion.catalogue import DEFAULT_PAIR
from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import PrecisionName, choose_compute
from ddpo.diffusion.sampling import evaluate_unet
from ddpo.runs.pairs import get_pair

RESULTS = Path(__file__).resolve().parent / "results" / "aot.json"
PRECISIONS: tuple[PrecisionName, ...] = ("float32", "bfloat16")
BATCHES = (2, 8, 16)
REPEATS = 15


def measure(precision: PrecisionName) -> dict[str, Any]:
    """One precision: compile, compare the outputs, time both in turns."""
    compute = choose_compute(precision, "cpu")
    source = get_pair(DEFAULT_PAIR).base
    plain, fast = load_model(source, compute).unet, load_model(source, compute).unet
    known, started = compiled.has_package(fast, compute), time.perf_counter()
    package = compiled.find_or_make_package(fast, compute)
    seconds = None if known else round(time.perf_counter() - started)
    compiled.use_package(fast, package)
    rows = []
    for batch in BATCHES:
        x_t, t = torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(batch)), torch.tensor(500)
        times: dict[str, list[float]] = {"plain": [], "compiled": []}
        for _ in range(REPEATS + 1):
            for name, unet in (("plain", plain), ("compiled", fast)):
                begun = time.process_time()
                with torch.no_grad():
                    evaluate_unet(unet, x_t, t, compute)
                times[name].append((time.process_time() - begun) / batch)
        with torch.no_grad():
            one, other = (evaluate_unet(unet, x_t, t, compute) for unet in (plain, fast))
        row: dict[str, Any] = {"batch": batch, "largest_difference": round((one - other).abs().max().item(), 6)}
        for name, values in times.items():
            row[name] = {"median": round(median(values[1:]), 5), "best": round(min(values[1:]), 5)}
        row["speedup"] = round(row["plain"]["median"] / row["compiled"]["median"], 2)
        rows.append(row)
        print(precision, row, flush=True)
    size = package.stat().st_size
    return {"precision": precision, "compile_seconds": seconds, "package_bytes": size, "rows": rows}


def main() -> None:
    """Measure, print and write; a precision that is not asked for keeps what the file has."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aot", description=__doc__.partition("\n")[0])
    parser.add_argument("precisions", nargs="*", choices=PRECISIONS, help="default: both")
    parser.add_argument("--keep", action="store_true", help="use the package of an earlier run, if there is one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not options.keep:
            os.environ["XDG_CACHE_HOME"] = folder
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder) / "inductor")
        for precision in options.precisions or PRECISIONS:
            _write(measure(precision))


def _write(measured: dict[str, Any]) -> None:
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["measured"] if RESULTS.exists() else []
    rows = {row["precision"]: row for row in [*known, measured]}
    results = {
        "machine": describe_machine(), "threads": torch.get_num_threads(), "ddpo": ddpo.__version__,
        "network": DEFAULT_PAIR, "measured": [rows[name] for name in PRECISIONS if name in rows],
    }  # fmt: skip
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

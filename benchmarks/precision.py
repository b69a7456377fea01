"""Seconds of an evaluation of both networks on the CPU, and of a pass of training, by precision and memory layout.

    python -m benchmarks.precision

Writes benchmarks/results/precision.json: the figures behind the choices in ddpo/diffusion/precision.py and
ddpo/diffusion/models.py, and behind the times that ddpo/runs/estimate.py tells before a run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

import ddpo
from benchmarks.church256 import build_ddpm_256
from benchmarks.machine import describe_machine
from ddpo.church64.pretrain import build_unet
from ddpo.diffusion.network import CHURCH_64, DDPM_256, Network
from ddpo.diffusion.precision import PrecisionName, choose_compute

RESULTS = Path(__file__).resolve().parent / "results" / "precision.json"
CPU = "cpu"  # also where there is a GPU
# By name: the network, how it is built, pictures in a batch, repetitions.
NETWORKS: dict[str, tuple[Network, Callable[[], nn.Module], int, int]] = {
    "church-64": (CHURCH_64, build_unet, 16, 9),
    "church-256": (DDPM_256, build_ddpm_256, 2, 3),
}


def measure(unet: nn.Module, size: int, batch: int, repeats: int, precision: PrecisionName) -> dict[str, Any]:
    """Seconds a picture, the best of so many: of an evaluation, and of one with its gradients."""
    compute = choose_compute(precision, CPU)
    x, t = torch.randn(batch, 3, size, size), torch.tensor(500)

    def evaluate() -> None:
        with torch.no_grad(), compute.autocast():
            unet(x, t).sample.float().sum().item()

    def train() -> None:
        unet.zero_grad(set_to_none=True)
        with compute.autocast():
            output = unet(x, t).sample
        output.float().square().mean().backward()

    return {
        "evaluation": round(best_of(evaluate, repeats) / batch, 5),
        "training_pass": round(best_of(train, repeats) / batch, 5),
    }


def best_of(work: Callable[[], None], repeats: int) -> float:
    """Seconds that it takes at best, warmed up."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def main() -> None:
    """Measure, print and write."""
    rows: list[dict[str, Any]] = []
    for name, (network, build, batch, repeats) in NETWORKS.items():
        for channels_last in (False, True):
            layout = torch.channels_last if channels_last else torch.contiguous_format
            unet = build().eval().to(memory_format=layout)  # type: ignore[call-overload]
            for precision in ("float32", "bfloat16"):
                seconds = measure(unet, network.sample_size, batch, repeats, precision)
                rows.append({"network": name, "batch": batch, "precision": precision, "channels_last": channels_last})
                rows[-1].update(seconds)
                print(rows[-1], flush=True)
    networks = {name: asdict(network) for name, (network, *_) in NETWORKS.items()}
    results = {"machine": describe_machine(), "ddpo": ddpo.__version__, "networks": networks, "rows": rows}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""How each scheduler should be set up, and how many steps it needs: python -m benchmarks.schedulers

Draws the same seeds with every variant of every scheduler and number of steps, and keeps for each cell the score
`photographic` and the kernel distance to drawings that no model has seen (ddpo/church64/fidelity.py). A finished cell
is never drawn again: an interrupted run goes on. Writes benchmarks/results/schedulers.json; `--table` prints it for
docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from ddpo import rewards
from ddpo.church64.fidelity import FidelityMeter
from ddpo.diffusion.catalogue import PAIRS
from ddpo.diffusion.models import DiffusionModel, load_model
from ddpo.diffusion.pictures import to_uint8
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.diffusion.sampling import sample
from ddpo.diffusion.schedulers import SCHEDULERS

RESULTS = Path(__file__).resolve().parent / "results" / "schedulers.json"
SEEDS = 64
FIRST_SEED = 10_000
STEPS = (5, 8, 12, 20, 50)
BATCH = 32
PLAIN = {"timestep_spacing": "leading", "use_karras_sigmas": False}  # what church-64's own configuration leads to


@dataclass(frozen=True)
class Variant:
    """A scheduler with options in place of ours."""

    title: str
    scheduler: str
    options: Mapping[str, Any] = field(default_factory=dict)


TRAILING = {"timestep_spacing": "trailing"}
KARRAS = {"use_karras_sigmas": True}
VARIANTS = (
    Variant("DDIM, leading", "ddim", {"timestep_spacing": "leading"}),
    Variant("DDIM, trailing", "ddim", TRAILING),
    Variant("PNDM, leading", "pndm", {"timestep_spacing": "leading"}),
    Variant("PNDM, trailing", "pndm", TRAILING),
    Variant("PNDM, without Runge-Kutta", "pndm", {"timestep_spacing": "leading", "skip_prk_steps": True}),
    Variant("PNDM, trailing, without Runge-Kutta", "pndm", {**TRAILING, "skip_prk_steps": True}),
    Variant("DPM-Solver++, leading", "dpm-solver++", PLAIN),
    Variant("DPM-Solver++, trailing", "dpm-solver++", {**PLAIN, **TRAILING}),
    Variant("DPM-Solver++, linspace", "dpm-solver++", {**PLAIN, "timestep_spacing": "linspace"}),
    Variant("DPM-Solver++, Karras", "dpm-solver++", {**PLAIN, **KARRAS}),
    Variant("DPM-Solver++, third order", "dpm-solver++", {**PLAIN, **TRAILING, "solver_order": 3}),
    Variant("DPM-Solver++, Euler at the end", "dpm-solver++", {**PLAIN, **TRAILING, "euler_at_final": True}),
    Variant("UniPC, leading", "unipc", PLAIN),
    Variant("UniPC, trailing", "unipc", {**PLAIN, **TRAILING}),
    Variant("UniPC, Karras", "unipc", {**PLAIN, **KARRAS}),
    Variant("UniPC, trailing, third order", "unipc", {**PLAIN, **TRAILING, "solver_order": 3}),
    Variant("Heun, leading", "heun", PLAIN),
    Variant("Heun, trailing", "heun", {**PLAIN, **TRAILING}),
    Variant("Heun, Karras", "heun", {**PLAIN, **KARRAS}),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A cell: one model, variant and number of steps."""

    model: str  # "base" or "tuned"
    variant: str
    steps: int
    evaluations: int  # of the network, for a picture
    score: float  # photographic, in the mean of the seeds
    distance: float  # to held-out drawings, times 1000
    standard_error: float  # of the distance
    seconds: float  # a picture, scores left out


class Bench:
    """What all cells are measured with."""

    def __init__(self, compute: Compute, seeds: int) -> None:
        self.compute, self.seeds = compute, list(range(FIRST_SEED, FIRST_SEED + seeds))
        pair = PAIRS["church-64"]
        self.models = {"base": load_model(pair.base, compute), "tuned": load_model(pair.tuned, compute)}
        self.reward = rewards.load("photographic", compute)
        self.meter = FidelityMeter(None)

    def measure(self, name: str, variant: Variant, steps: int) -> Measured:
        """Draw a cell and look at its pictures."""
        begun = time.monotonic()
        pictures, evaluations = self._draw(self.models[name], variant, steps)
        seconds = (time.monotonic() - begun) / len(self.seeds)
        with torch.no_grad():
            score = float(self.reward(pictures).mean())
        found = self.meter(to_uint8(pictures))
        return Measured(
            name, variant.title, steps, evaluations, round(score, 3), round(found.distance, 1),
            round(found.standard_error, 1), round(seconds, 4),
        )  # fmt: skip

    def _draw(self, model: DiffusionModel, variant: Variant, steps: int) -> tuple[torch.Tensor, int]:
        spec = SCHEDULERS[variant.scheduler]
        spec = replace(spec, options={**spec.options, **variant.options})
        finished, total = [], 0
        for first in range(0, len(self.seeds), BATCH):
            for state in sample(model, self.seeds[first : first + BATCH], spec, steps, self.compute):
                last, total = state.x_t, state.total
            finished.append(last.clamp(-1, 1).cpu())
        return torch.cat(finished), total


def table(cells: list[Measured]) -> str:
    """Score and distance of each variant by steps, as Markdown; the base's first, then the tuned model's scores."""
    lines = ["| base | " + " | ".join(f"{steps} steps" for steps in STEPS) + " |", "|---" * (1 + len(STEPS)) + "|"]
    found = {(cell.model, cell.variant, cell.steps): cell for cell in cells}
    for variant in VARIANTS:
        row = [found.get(("base", variant.title, steps)) for steps in STEPS]
        shown = [f"{cell.score:.2f}, {cell.distance:.0f}" if cell else "" for cell in row]
        lines.append(f"| {variant.title} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, and write after each cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    options = parser.parse_args()
    before = json.loads(options.out.read_text()) if options.out.exists() else {}
    cells = [Measured(**cell) for cell in before.get("cells", [])] if before.get("seeds") == options.seeds else []
    if options.table:
        print(table(cells))
        return
    done = {(cell.model, cell.variant, cell.steps) for cell in cells}
    compute = choose_compute(None, "cpu")
    bench = Bench(compute, options.seeds)
    for steps in STEPS:
        for variant in VARIANTS:
            for name in bench.models:
                if (name, variant.title, steps) in done:
                    continue
                cells.append(bench.measure(name, variant, steps))
                print(json.dumps(asdict(cells[-1])), flush=True)
                _write(options.out, cells, options.seeds, compute)


def _write(path: Path, cells: list[Measured], seeds: int, compute: Compute) -> None:
    results = {
        "machine": describe_machine(), "compute": str(compute), "seeds": seeds,
        "cells": [asdict(cell) for cell in cells],
    }  # fmt: skip
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

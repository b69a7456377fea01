"""What the recipe `zerogpu` gives: its updates on church-64, by learning rate, and the GPU time planned for church-256.

    python -m benchmarks.zerogpu                               # the recipe's own learning rate, three runs
    python -m benchmarks.zerogpu --rates 2e-3 6e-3 --seeds 0   # others beside it

church-256's weights and ZeroGPU's GPU are not at hand here, so two things are told apart. Measured: the gain and the
diversity after all epochs on church-64, by its reward `photographic`, on 64 seeds that no run draws, with DDIM 50.
Planned: the seconds of quota that the same run takes with church-256, from what `ddpo/common/lent_gpu.py` assumes of
the GPU. Writes benchmarks/results/zerogpu.json; rates and seeds that are not asked for keep what the file has.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

import ddpo
from benchmarks.held_out import REWARD, SEEDS, Eye
from benchmarks.machine import describe_machine
from benchmarks.quick import ROOT, compare, train
from ddpo import rewards
from ddpo.diffusion.catalogue import DEFAULT_PAIR
from ddpo.diffusion.precision import choose_compute
from ddpo.runs.pairs import get_pair
from ddpo.runs.store import RunSpec
from ddpo.training.recipes import get_recipe
from ddpo.ui.space import slices

RESULTS = ROOT / "benchmarks" / "results" / "zerogpu.json"
RECIPE, LARGE_PAIR = get_recipe("zerogpu"), "church-256-aesthetic"


def planned() -> dict[str, Any]:
    """What a run of the recipe takes of the quota with church-256, as the Train tab plans it before it has measured."""
    pair = get_pair(LARGE_PAIR)
    plan = slices.plan(RunSpec(pair.name, pair.base, REWARD, RECIPE.name, RECIPE.config))
    seconds = plan.first_seconds + plan.epochs * plan.epoch_seconds
    return {
        "pair": pair.name, "slices": plan.slices, "quota_seconds": plan.slices * plan.each.seconds,
        "epoch_seconds": round(plan.epoch_seconds, 2), "training_seconds": round(seconds, 1),
    }  # fmt: skip


def scored() -> dict[str, float]:
    """Pixels that a core scores in a second, in millions, of 16 pictures at once: of each scorer without weights."""
    threads, compute = torch.get_num_threads(), choose_compute()
    torch.set_num_threads(1)
    pixels = {}
    for name, side in product((REWARD, "colourfulness", "jpeg-compressibility"), (64, 256)):
        score, pictures = rewards.load(name, compute), torch.rand(16, 3, side, side) * 2 - 1
        score(pictures)
        begun = time.perf_counter()
        score(pictures)
        pixels[f"{name} {side}"] = round(16 * side**2 / (time.perf_counter() - begun) / 1e6, 1)
    torch.set_num_threads(threads)
    return pixels


def measure(rate: float, seed: int, eye: Eye) -> dict[str, Any]:
    """One whole run on church-64, compared with the base's pictures."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["start", "--pair", DEFAULT_PAIR, "--reward", REWARD, "--recipe", RECIPE.name]
        train(Path(folder), [*command, "--learning-rate", str(rate), "--seed", str(seed)])
        return {"learning_rate": rate, "seed": seed, **compare(Path(folder), eye)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zerogpu", description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", type=float, nargs="*", default=[RECIPE.config.learning_rate], help="none: plan only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the runs")
    options = parser.parse_args()
    for rate in options.rates:
        replace(RECIPE.config, learning_rate=rate)  # refused before anything is computed
    if options.rates:
        eye = Eye()
        for seed, rate in product(options.seeds, options.rates):
            row = measure(rate, seed, eye)
            print(row, flush=True)
            _write([row])
    _write([])


def _write(measured: list[dict[str, Any]]) -> None:
    """The file anew, with what it has, but for what was measured again."""
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    rows = {(row["learning_rate"], row["seed"]): row for row in [*known, *measured]}
    updates = RECIPE.config.epochs * RECIPE.config.batches_per_epoch * RECIPE.config.inner_epochs
    results = {
        "machine": describe_machine(), "compute": str(choose_compute()), "ddpo": ddpo.__version__, "reward": REWARD,
        "seeds": SEEDS, "recipe": RECIPE.name, "learning_rate": RECIPE.config.learning_rate, "updates": updates,
        "planned": planned(), "scored": scored(), "rows": [rows[key] for key in sorted(rows)],
    }  # fmt: skip
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

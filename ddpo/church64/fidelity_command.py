"""`python -m ddpo.church64 fidelity`: the figures of `fidelity.py` for any model of 64 x 64 and spoiled drawings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ddpo.church64.fidelity import Fidelity, FidelityMeter, as_json, table
from ddpo.church64.parts import load_parts_classifier
from ddpo.church64.scenes import SIZE, draw_scenes
from ddpo.church64.spoiled import SPOILERS, without
from ddpo.diffusion.models import load_model
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.diffusion.sampling import sample_pictures
from ddpo.diffusion.schedulers import SCHEDULERS, get_scheduler
from ddpo.errors import UserError

FIRST_SEED = 10_000
FIRST_SPOILED = 6_000_000  # drawings that are spoiled; no model or reference has them
LEFT_OUT = ("tower", "roof", "windows", "door", "light")


def spoiled_drawings(meter: FidelityMeter, count: int) -> dict[str, Fidelity]:
    """The figures of drawings as they are and of the same drawings spoiled in every way of `SPOILERS`."""
    drawings = draw_scenes(FIRST_SPOILED, count)
    rows = {"other drawings": meter(drawings)}
    for title, spoil in SPOILERS.items():
        rows[title] = meter(to_uint8(spoil(from_uint8(drawings))))
    for part in LEFT_OUT:
        rows[f"without {part}"] = meter(to_uint8(without(part, FIRST_SPOILED, count)))
    return rows


def draw_model(source: str, scheduler: str, steps: int, count: int, compute: Compute) -> np.ndarray:
    """A model's pictures of seeds from 10,000 on: (count, 64, 64, 3) uint8.

    Raises:
        UserError: its pictures are not of 64 x 64 pixels, or it cannot be loaded.
    """
    model = load_model(source, compute)
    if model.picture_shape != (3, SIZE, SIZE):
        _, height, width = model.picture_shape
        raise UserError(f"{source} makes pictures of {width} x {height}; only {SIZE} x {SIZE} can be compared.")
    seeds = list(range(FIRST_SEED, FIRST_SEED + count))
    return to_uint8(sample_pictures(model, seeds, scheduler, steps, compute))


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ddpo.church64 fidelity", description=__doc__)
    parser.add_argument("models", nargs="*", help="folders or ids of models of 64 x 64 pixels")
    parser.add_argument("--scheduler", nargs="+", default=["ddim"], choices=list(SCHEDULERS))
    parser.add_argument("--steps", type=int, default=0, help="denoising steps; 0: 1000 for ddpm, 50 for the others")
    parser.add_argument("--count", type=int, default=256, help="pictures a row")
    parser.add_argument("--spoiled", action="store_true", help="also drawings spoiled on purpose")
    parser.add_argument("--work", type=Path, default=Path("build/church-64"), help="where the parts classifier is kept")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 is torch's choice")
    parser.add_argument("--json", type=Path, help="a file to write the figures to as well")
    options = parser.parse_args(arguments)
    if options.count < 3:
        parser.error("--count must be at least 3: a distance is a mean over pairs")
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    compute = choose_compute(options.precision)
    meter = FidelityMeter(load_parts_classifier(options.work / "parts.pt"))
    rows = {"drawings": meter.of_drawings}
    if options.spoiled:
        rows |= spoiled_drawings(meter, options.count)
    for source in options.models:
        for name in options.scheduler:
            steps = options.steps or (1000 if name == "ddpm" else 50)
            title = f"{source}, {get_scheduler(name).title} {steps}"
            rows[title] = meter(draw_model(source, name, steps, options.count, compute))
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps({k: as_json(v) for k, v in rows.items()}, indent=1) + "\n", encoding="utf-8")
    return 0

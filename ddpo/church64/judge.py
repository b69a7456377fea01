"""A judge that is not the reward: how close pictures come to drawings in clear weather.

    python -m ddpo.church64 judge assets/church-64/base assets/church-64/tuned

A third of the drawings are dull on purpose, and the base draws as many. An honest finetuning on a reward for good
pictures should come closer to the clear ones than its base is. What pleases a scorer alone does not: woven texture,
speckles, burnt contrast and collapse move away, which `--planted` shows.

The distance is that of `ddpo/evaluation/kernel_distance.py` in the space of `ddpo/evaluation/features.py`, times 1000,
to drawings that nothing was trained on. The space is that of all drawings, so that dull ones have a place in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from itertools import count as numbers
from pathlib import Path

import numpy as np

from ddpo.church64.canvas import Canvas
from ddpo.church64.fidelity import FIRST_OF_SPACE, FIRST_SCENE, OF_SPACE, SCALE, SCENES
from ddpo.church64.fidelity_command import draw_model
from ddpo.church64.moods import Mood
from ddpo.church64.scenes import draw_scene, draw_scenes
from ddpo.church64.spoiled import PLANTED
from ddpo.common import markdown
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import choose_compute
from ddpo.diffusion.schedulers import SCHEDULERS
from ddpo.evaluation.features import Whitening, describe
from ddpo.evaluation.kernel_distance import KernelDistance, kernel_distance

FIRST_PLANTED = 6_500_000  # drawings that faults are planted in; no model or reference has them


def is_clear(mood: Mood) -> bool:
    """Whether nothing dulls the light: clear, golden, sunset, night and snow, and not overcast or fog."""
    return mood.veil == 0 and mood.fog == 0


def draw_weather(first: int, count: int, clear: bool = True) -> np.ndarray:
    """The first scenes of seeds from `first` on that are in clear weather, or dull: (count, 64, 64, 3) uint8."""
    found: list[np.ndarray] = []
    for seed in numbers(first):
        if len(found) == count:
            return np.stack(found)
        if is_clear(Canvas(seed).mood) == clear:
            found.append(draw_scene(seed))
    raise AssertionError("seeds do not end")


class ClearWeatherJudge:
    """Measures pictures against held-out drawings in clear weather.

    Args:
        scenes: drawings to compare with, at least 100, and others that set the space, at most `OF_SPACE`.
    """

    def __init__(self, scenes: int = SCENES) -> None:
        self.whitening = Whitening(describe(from_uint8(draw_scenes(FIRST_OF_SPACE, min(scenes, OF_SPACE)))))
        self.reference = self.whitening(describe(from_uint8(draw_weather(FIRST_SCENE, scenes))))

    def __call__(self, pictures: np.ndarray) -> KernelDistance:
        """The distance of pictures (N, 64, 64, 3) uint8, N >= 3, times 1000."""
        found = kernel_distance(self.whitening(describe(from_uint8(pictures))), self.reference)
        return KernelDistance(found.value * SCALE, found.standard_error * SCALE)


def planted_cases(judge: ClearWeatherJudge, count: int) -> dict[str, KernelDistance]:
    """The distances of other clear drawings, of dull ones, and of the clear ones with the faults of `PLANTED`."""
    clear = draw_weather(FIRST_PLANTED, count)
    rows = {"other clear drawings": judge(clear), "dull drawings": judge(draw_weather(FIRST_PLANTED, count, False))}
    for title, spoil in PLANTED.items():
        rows[f"clear, {title}"] = judge(to_uint8(spoil(from_uint8(clear))))
    return rows


def as_json(row: KernelDistance) -> dict[str, float]:
    """A distance and its standard error, rounded, for a results file."""
    return {"distance": round(row.value, 4), "standard_error": round(row.standard_error, 4)}


def from_json(row: Mapping[str, float]) -> KernelDistance:
    """The distance that `as_json` wrote."""
    return KernelDistance(row["distance"], row["standard_error"])


def table(rows: dict[str, KernelDistance], first: str | None) -> str:
    """The distances as a table in Markdown; those of models beside the first one's.

    Args:
        rows: by title.
        first: the row of the first model, the base as a rule; None: there are no models.
    """
    lines = []
    seen = False
    for title, row in rows.items():
        beside = ""
        if first is not None and seen:
            change = row.less(rows[first])
            beside = f"{change.value:+.1f} ± {change.standard_error:.1f}"
        seen = seen or title == first
        lines.append((title, f"{row.value:.1f} ± {row.standard_error:.1f}", beside))
    return "\n".join(markdown.table(("pictures", "distance to clear drawings", "against the first model"), lines))


def main(arguments: list[str]) -> int:
    """The command line; raises UserError for a model that cannot be loaded or compared."""
    parser = argparse.ArgumentParser(prog="python -m ddpo.church64 judge", description=__doc__)
    parser.add_argument("models", nargs="*", help="folders or ids of models of 64 x 64 pixels, the base first")
    parser.add_argument("--scheduler", default="ddim", choices=list(SCHEDULERS))
    parser.add_argument("--steps", type=int, default=50, help="denoising steps")
    parser.add_argument("--count", type=int, default=256, help="pictures a row")
    parser.add_argument("--planted", action="store_true", help="also drawings with faults that a reward may pay for")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--json", type=Path, help="a file to write the figures to as well")
    options = parser.parse_args(arguments)
    if options.count < 3:
        parser.error("--count must be at least 3: a distance is a mean over pairs")
    if not options.models and not options.planted:
        parser.error("name a model, or ask for the --planted cases")
    compute, judge = choose_compute(options.precision), ClearWeatherJudge()
    rows = planted_cases(judge, options.count) if options.planted else {}
    for source in options.models:
        rows[source] = judge(draw_model(source, options.scheduler, options.steps, options.count, compute))
    print(table(rows, options.models[0] if options.models else None))
    if options.json:
        figures = {title: as_json(row) for title, row in rows.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0

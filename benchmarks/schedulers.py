"""Every scheduler with the options that its authors and diffusers offer, on church-64: scores by steps.

    python -m benchmarks.schedulers [--seeds 64] [--steps 5,8,12,20,50] [--only heun]

Pictures and scores are kept in `evaluations/schedulers`, so a run that was stopped goes on where it was, and more seeds
draw only what is missing. Writes benchmarks/results/schedulers.json of what is there, and prints the table of
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ddpo
from benchmarks.machine import describe_machine
from ddpo import rewards
from ddpo.common import markdown
from ddpo.diffusion.precision import PrecisionName, choose_compute
from ddpo.diffusion.schedulers import SCHEDULERS, SchedulerSpec
from ddpo.errors import UserError
from ddpo.evaluation.evaluate import CellDone, evaluate
from ddpo.evaluation.plan import FIRST_SEED, Evaluation, Model, Point
from ddpo.evaluation.results import CellResult, Results, interval_of
from ddpo.evaluation.statistics import paired_gain
from ddpo.evaluation.store import CellStore
from ddpo.runs.pairs import get_pair

ROOT = Path(__file__).resolve().parent.parent
RESULTS, STORE = ROOT / "benchmarks" / "results" / "schedulers.json", ROOT / "evaluations" / "schedulers"
PAIR, SCORER, STEPS, SEEDS = "church-64", "photographic", (5, 8, 12, 20, 50), 64
PRECISION: PrecisionName | None = None  # what the machine is quick at
WITHIN = 0.2  # of the mean score: small beside the gain of the finetuning, 1.1
KARRAS, TRAILING = {"use_karras_sigmas": True}, {"timestep_spacing": "trailing"}
# By scheduler: what is set on top of a model's own configuration, from diffusers' documentation and the papers.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "ddpm": {"plain": {}, "trailing": TRAILING},
    "ddim": {"plain": {}, "trailing": TRAILING},
    "pndm": {"plain": {}, "trailing": TRAILING, "without Runge-Kutta": {"skip_prk_steps": True}},
    "dpm-solver++": {
        "plain": {}, "Karras": KARRAS, "trailing": TRAILING, "third order": {"solver_order": 3},
        "Euler at the end": {"euler_at_final": True}, "Karras, Euler at the end": {**KARRAS, "euler_at_final": True},
        "no lower order at the end": {"lower_order_final": False},
    },
    "unipc": {"plain": {}, "Karras": KARRAS, "trailing": TRAILING, "bh1": {"solver_type": "bh1"}},
    "heun": {"plain": {}, "Karras": KARRAS, "trailing": TRAILING},
}  # fmt: skip


def variants(only: Sequence[str] = ()) -> Iterator[tuple[str, str, SchedulerSpec]]:
    """Scheduler, name of the variant, and its spec. "plain" is diffusers' own, whatever the app sets."""
    always = {"dpm-solver++": {"algorithm_type": "dpmsolver++"}}
    for name, listed in VARIANTS.items():
        if only and name not in only:
            continue
        for variant, options in listed.items():
            title = f"{name}, {variant}"
            spec = replace(SCHEDULERS[name], name=title, title=title, options={**always.get(name, {}), **options})
            yield name, variant, spec


def make(seeds: int, steps: Sequence[int], only: Sequence[str] = ()) -> Evaluation:
    """The whole grid, the cheapest cells first."""
    pair = get_pair(PAIR)
    points = [Point(spec, count, 0.0) for _, _, spec in variants(only) for count in steps if count >= spec.min_steps]
    return Evaluation(
        models=(Model("base", pair.base), Model("tuned", pair.tuned)),
        points=tuple(sorted(points, key=lambda point: (point.evaluations, point.title))),
        seeds=tuple(FIRST_SEED + place for place in range(seeds)),
        scorers=(rewards.get(SCORER),),
        precision=PRECISION,
    )


def measure(evaluation: Evaluation) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows of what could be drawn, and what could not with the reason."""
    cells: list[CellResult] = []
    failed: dict[str, str] = {}
    for point in evaluation.points:
        try:
            for event in evaluate(evaluation, CellStore(STORE), [point]):
                if isinstance(event, CellDone):
                    cells.append(event.cell)
                    print(event.cell.cell.title, f"{event.cell.mean(SCORER):.2f}", flush=True)
        except UserError as error:  # a variant whose pictures are no numbers
            failed[point.title] = str(error)
            print(point.title, error, flush=True)
    return rows(Results(evaluation, cells)), failed


def rows(results: Results) -> list[dict[str, Any]]:
    """A row a cell: its mean with its interval, and its difference to the plain variant on the same seeds."""
    found = []
    by_name = {(name, variant): spec for name, variant, spec in variants()}
    of_spec = {spec.name: key for key, spec in by_name.items()}
    for result in results.cells:
        point = result.cell.point
        name, variant = of_spec[point.scheduler.name]
        plain = results.by_cell.get(replace(result.cell, point=replace(point, scheduler=by_name[name, "plain"])))
        found.append(
            {
                "model": result.cell.model.name, "scheduler": name, "variant": variant, "steps": point.steps,
                "evaluations": result.evaluations, **_mean(result), **_against(plain, result),
            }
        )  # fmt: skip
    return found


def _mean(result: CellResult) -> dict[str, Any]:
    low, high = interval_of(result, SCORER) or (None, None)
    return {"mean": round(result.mean(SCORER), 3), "low": _rounded(low), "high": _rounded(high)}


def _against(plain: CellResult | None, result: CellResult) -> dict[str, Any]:
    if plain is None or plain is result:
        return {}
    gain = paired_gain(plain.scores[SCORER], result.scores[SCORER])
    low, high = gain.interval or (None, None)
    return {"over_plain": _rounded(gain.paired.mean_difference), "over_low": _rounded(low), "over_high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def enough(found: Sequence[dict[str, Any]], name: str) -> int | None:
    """The fewest steps from which on both models' means, as the app draws, are within WITHIN of those of most steps."""
    (of_app,) = (
        variant for key, variant, spec in variants() if key == name and spec.options == SCHEDULERS[name].options
    )
    means: dict[int, list[float]] = {}
    for row in sorted(found, key=lambda row: row["model"]):
        if (row["scheduler"], row["variant"]) == (name, of_app):
            means.setdefault(row["steps"], []).append(row["mean"])
    if not means:  # it was left out by --only
        return None
    last = means[max(means)]
    good = [all(abs(a - b) <= WITHIN for a, b in zip(means[steps], last, strict=True)) for steps in sorted(means)]
    first = len(good) - next((place for place, fine in enumerate(reversed(good)) if not fine), len(good))
    return sorted(means)[first]


def table(found: Sequence[dict[str, Any]]) -> list[str]:
    """Mean scores of base and finetuned model in Markdown: a line a variant, a column a number of steps."""
    means = {(row["model"], row["scheduler"], row["variant"], row["steps"]): row["mean"] for row in found}
    steps = sorted({row["steps"] for row in found})
    lines = []
    for name, variant, _ in variants():
        both = [[means.get((model, name, variant, count)) for model in ("base", "tuned")] for count in steps]
        if any(mean is not None for pair in both for mean in pair):
            cells = (", ".join("-" if mean is None else f"{mean:.2f}" for mean in pair) for pair in both)
            lines.append((f"{SCHEDULERS[name].title}, {variant}", *cells))
    return markdown.table(("scheduler, options", *steps), lines)


def main() -> None:
    """Measure what is missing, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", default=",".join(map(str, STEPS)))
    parser.add_argument("--only", nargs="*", default=[], choices=list(VARIANTS))
    options = parser.parse_args()
    evaluation = make(options.seeds, [int(part) for part in options.steps.split(",")], options.only)
    found, failed = measure(evaluation)
    facts = {
        "machine": describe_machine(), "ddpo": ddpo.__version__, "pair": PAIR, "scorer": SCORER,
        "compute": str(choose_compute(PRECISION)), "seeds": options.seeds, "first_seed": FIRST_SEED, "failed": failed,
        "enough": {name: enough(found, name) for name in VARIANTS}, "rows": found,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()

"""Reward against distance to the base over the epochs of the runs that are evaluated: what each step away brought."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from ddpo.errors import UserError
from ddpo.evaluation import plots
from ddpo.evaluation.plan import Evaluation
from ddpo.hub import ids
from ddpo.runs.store import Run, list_runs, runs_root
from ddpo.training.events import EpochMetrics

MEASURES = {"kl": "KL to the base", "output_change": "change of the output"}  # by name in EpochMetrics
MOST_ROWS = 12


def runs_of(evaluation: Evaluation) -> list[tuple[str, Run]]:
    """The runs of which a model is evaluated, each once, by the name of its first model."""
    try:
        runs = list_runs(runs_root())
    except (OSError, UserError):  # the folder of all runs has gone, or is none
        return []
    found: dict[str, tuple[str, Run]] = {}
    for model in evaluation.models:
        for run in runs:
            if ids.as_path(model.source).is_relative_to(run.folder):
                found.setdefault(run.id, (model.name, run))
    return list(found.values())


def section(evaluation: Evaluation) -> str:
    """A plot and a table for each measure that the runs have; "" where none of the models is a run."""
    runs = [(name, run.result_epochs()) for name, run in runs_of(evaluation)]
    parts = [_plot(measure, runs) for measure in MEASURES]
    found = "".join(filter(None, parts))
    return f"<section><h2>Reward against distance, over the epochs</h2>{found}</section>" if found else ""


def _plot(measure: str, runs: Sequence[tuple[str, Sequence[EpochMetrics]]]) -> str:
    lines, rows = [], []
    for number, (name, epochs) in enumerate(runs):
        known = [epoch for epoch in epochs if math.isfinite(getattr(epoch, measure))]
        if len(known) < 2:
            continue
        points = [(float(getattr(epoch, measure)), epoch.reward_mean) for epoch in known]
        lines.append(plots.Series(name, points, number, marked=len(points) - 1))
        rows += [_row(name, epoch, measure) for epoch in _spread(known)]
    if not lines:
        return ""
    title = MEASURES[measure]
    plot = plots.lines(f"Mean reward against {title}", lines, title, "mean reward of the epoch's samples")
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("run, epoch", title, "mean reward"))
    return (
        f"<figure>{plot}<figcaption>A point is an epoch, the ring the last one. A curve that grows flat pays more "
        f'distance for the same reward.</figcaption></figure><details><summary>As a table</summary><div class="wide" '
        f'tabindex="0"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></details>'
    )


def _row(name: str, epoch: EpochMetrics, measure: str) -> str:
    return (
        f'<tr><th scope="row">{escape(name)}, {epoch.epoch}</th><td>{getattr(epoch, measure):.3g}</td>'
        f"<td>{epoch.reward_mean:.3g}</td></tr>"
    )


def _spread(epochs: Sequence[EpochMetrics]) -> list[EpochMetrics]:
    """At most MOST_ROWS of them, evenly, with the first and the last."""
    count = min(len(epochs), MOST_ROWS)
    return [epochs[round(place * (len(epochs) - 1) / (count - 1))] for place in range(count)]

"""Runs that are ticked in the list, over each other: their figures for the browser, which draws them (`runs.js`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from ddpo.common.files import finite
from ddpo.common.words import moment
from ddpo.runs.labels import label_of
from ddpo.runs.store import Run
from ddpo.ui.train import actions, tables
from ddpo.ui.train.plots import thinned
from ddpo.ui.train.run_list import MOST_TICKED

FIGURES = {"reward": "reward_mean", "diversity": "diversity", "kl": "kl"}  # of the epochs

_TOOLS = """
<div class="overlay-tools">
  <label>Along <select data-tool="x">
    <option value="epoch">epochs</option><option value="pictures">pictures</option>
    <option value="seconds">seconds of training</option></select></label>
  <label>Smoothing <input type="range" min="0" max="0.95" step="0.05" value="0" data-tool="smooth"></label>
  <label><input type="checkbox" data-tool="log"> Logarithmic</label>
  <button type="button" data-clear>Untick all</button>
</div>
"""


def overlay(ticked: Sequence[str], runs: Sequence[Run]) -> str:
    """Two or more runs together; "" for fewer.

    Args:
        ticked: ids of runs, of which some may be gone.
        runs: all that there are.
    """
    by_id = {run.id: run for run in runs}
    chosen = [by_id[id] for id in ticked if id in by_id][:MOST_TICKED]
    if len(chosen) < 2:
        return ""
    titles = _titles(chosen)
    data = [{"title": title, **_curves(run)} for title, run in zip(titles, chosen, strict=True)]
    data_text = escape(json.dumps(finite(data)))
    return (
        f'<section class="card overlay" aria-label="Runs that are ticked"><h2>{len(chosen)} runs together</h2>{_TOOLS}'
        f'<div class="overlay-charts" data-overlay="{data_text}"></div>{tables.differences(chosen, titles)}</section>'
    )


def checked(ticked: Any) -> tuple[str, ...]:
    """Ids as a page sends them, whatever it sends."""
    if not isinstance(ticked, list):
        return ()
    return tuple(id for id in ticked if isinstance(id, str) and len(id) <= 200)[:MOST_TICKED]


def _titles(runs: Sequence[Run]) -> list[str]:
    """What tells the runs apart: their names, else reward and date, with a number where that is the same."""
    plain = [label_of(run).name or f"{actions.reward_title(run.spec.reward)}, {moment(run.created)}" for run in runs]
    number = [plain[: place + 1].count(title) for place, title in enumerate(plain)]
    return [f"{title} ({n})" if plain.count(title) > 1 else title for title, n in zip(plain, number, strict=True)]


def _curves(run: Run) -> dict[str, Any]:
    epochs, looks, each = thinned(run.epochs()), thinned(run.evaluations()), run.spec.config.samples_per_epoch()
    return {
        "reward_name": run.spec.reward,
        "epoch": [epoch.epoch for epoch in epochs],
        "pictures": [epoch.samples or epoch.epoch * each for epoch in epochs],
        "seconds": [epoch.seconds for epoch in epochs],
        **{name: [getattr(epoch, field) for epoch in epochs] for name, field in FIGURES.items()},
        "held_out": {
            "epoch": [look.epoch for look in looks],
            "pictures": [look.epoch * each for look in looks],
            "seconds": [look.seconds for look in looks],
            "gain": [look.gain for look in looks],
        },
    }

"""All runs as HTML, a row each. The browser filters them and remembers which are ticked, see `runs.js`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from ddpo import rewards
from ddpo.common.words import signed
from ddpo.runs.labels import label_of
from ddpo.runs.store import Run
from ddpo.training.events import EpochMetrics
from ddpo.ui.shared import html
from ddpo.ui.train.actions import base_title, reward_title

MOST = 500  # runs in the list
MOST_TICKED = 6  # runs that are shown together

STATES = {
    "queued": "Queued", "starting": "Starting", "running": "Training", "stopping": "Stopping", "stopped": "Stopped",
    "finished": "Finished", "failed": "Failed", "interrupted": "Interrupted",
}  # fmt: skip

FILTER = """
<div class="run-filter" hidden>
  <h2>All runs <span class="count"></span></h2>
  <input type="search" aria-label="Filter the runs by their text" placeholder="Filter by name, note, id…">
  <select aria-label="Filter the runs by reward" data-by="reward"><option value="">Any reward</option></select>
  <select aria-label="Filter the runs by state" data-by="state"><option value="">Any state</option></select>
  <select aria-label="Filter the runs by base" data-by="base"><option value="">Any base</option></select>
  <p class="hint">Tick two or more to see their curves and settings together.</p>
</div>
"""


def run_list(runs: Sequence[Run], chosen: str | None) -> str:
    """All runs, newest first; the chosen one is marked."""
    if not runs:
        return ""
    rows = "".join(_row(run, run.id == chosen) for run in runs[:MOST])
    more = f'<p class="hint">{len(runs) - MOST} older ones are not shown.</p>' if len(runs) > MOST else ""
    none = '<p class="hint none" hidden>No run is like that.</p>'
    return f'<div class="runs"><div class="run-rows">{rows}</div>{none}{more}</div>'


def badge(state: str) -> str:
    """The state of a run as a word in a colour."""
    return f'<span class="state {state}">{STATES[state]}</span>'


def mean_rewards(epochs: Sequence[EpochMetrics]) -> list[float]:
    """Those that are finite."""
    return [epoch.reward_mean for epoch in epochs if math.isfinite(epoch.reward_mean)]


def _row(run: Run, chosen: bool) -> str:
    status, rewarded, spec = run.status(), mean_rewards(run.epochs()), rewards.find(run.spec.reward)
    label, reward, base = label_of(run), reward_title(run.spec.reward), base_title(run.spec)
    gain = "<em></em>"
    if len(rewarded) > 1:
        change = rewarded[-1] - rewarded[0]
        gain = f'<em class="{"up" if change > 0 else "down"}">{signed(change, spec.decimals if spec else 2)}</em>'
    facts = {"run": run.id, "state": status.state, "reward": reward, "base": base, "word": STATES[status.state]}
    data = "".join(f' data-{name}="{escape(text)}"' for name, text in facts.items())
    title = label.name or reward
    about = f"{escape(f'{reward} · ' if label.name else '')}{escape(f'{base} · {run.spec.recipe}')} · "
    note = f' · <span class="run-note">{escape(label.note)}</span>' if label.note else ""
    return (
        f'<div class="run-row{" chosen" if chosen else ""}"{data}>'
        f'<input type="checkbox" aria-label="Show {escape(title)} of {escape(run.id)} beside others">'
        f'<button type="button" aria-current="{str(chosen).lower()}">{badge(status.state)}'
        f'<span class="run-title">{escape(title)}<small>{about}{html.when(run.created)}{note}</small></span></button>'
        f'<span class="run-epochs">{status.epoch} of {status.epochs}</span>{gain}</div>'
    )

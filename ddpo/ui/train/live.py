"""The components that show a run, and what of them has changed since a page was last told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from ddpo.common.words import is_finite
from ddpo.errors import UserError
from ddpo.runs import followed
from ddpo.runs.status import ACTIVE
from ddpo.runs.store import Run, current_run, runs_root
from ddpo.ui.shared.inputs import OpenDropdown, OpenSlider
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.train import actions, beginning, run_list, tables, views
from ddpo.ui.train.actions import RESUMABLE, Snapshot
from ddpo.ui.train.overlay import overlay

TROUBLE = "This could not be done"
RESULT = "result"  # stands for it among the weights of a run
QUEUE = "Add to the queue"  # what Start says while another run trains
HIDDEN_WITHOUT_A_RUN = (
    "stop", "resume", "compare", "weights", "download", "use", "delete", "pushing", "epoch", "told", "labelling",
)  # fmt: skip


@dataclass(frozen=True)
class Live:
    """The components that show a run, in the order of `parts`."""

    start: gr.Button
    runs: gr.HTML
    together: gr.HTML
    status: gr.HTML
    diagnosis: gr.HTML
    stop: gr.Button
    resume: gr.Button
    compare: gr.Button
    weights: OpenDropdown
    download: gr.Button
    use: gr.Button
    delete: gr.Button
    pushing: gr.Accordion
    charts: gr.HTML
    pictures: gr.HTML
    epoch: OpenSlider
    animation: gr.HTML
    told: gr.Accordion
    settings: gr.HTML
    labelling: gr.Accordion
    name: gr.Textbox
    note: gr.Textbox


@dataclass(frozen=True)
class Shown:
    """What a page shows: only what has changed since is sent to it."""

    run_id: str | None = None
    last_epoch: int = 0
    parts: dict[str, int] = field(default_factory=dict)  # hash of what each component of Live shows


def look(chosen: str | None, epoch: Any, shown: Shown, ticked: Sequence[str] | None = None) -> list[Any]:
    """What has changed in the run folder since the page was last told, behind what it shows now.

    Args:
        chosen: id of the run that the visitor chose; None: whichever trains, else the newest.
        epoch: that the slider stands at.
        shown: what the page shows.
        ticked: ids of the runs that are ticked in the list; None leaves what is shown of them.
    """
    with sentences(TROUBLE):
        beginning.watch(runs_root())
        run = _found(chosen)
        seen = actions.look_at(run) if run else None
        run_id, last = (seen.run.id, seen.last_epoch) if seen else (None, 0)
        # The slider follows the run until the visitor moves it back.
        follows = run_id != shown.run_id or not is_finite(epoch) or epoch >= shown.last_epoch
        values = parts(seen, last if follows else int(epoch), follows, ticked or ())
    hashes = {name: hash(repr(value)) for name, value in values.items()}
    if ticked is None and shown.parts:
        hashes["together"] = shown.parts["together"]
    changed = [value if hashes[name] != shown.parts.get(name) else gr.skip() for name, value in values.items()]
    return [Shown(run_id, last, hashes), *changed]


def _found(chosen: str | None) -> Run | None:
    """As `actions.find`, but instead of a run that was deleted meanwhile, another."""
    try:
        return actions.find(chosen)
    except UserError:
        return actions.find(None)


def parts(seen: Snapshot | None, epoch: int, follows: bool, ticked: Sequence[str] = ()) -> dict[str, Any]:
    """The value of every component of Live, in their order."""
    runs, follow_line = followed.all_runs(runs_root()), views.follow_line()
    listed = run_list.run_list(runs, seen.run.id if seen else None) + follow_line
    start = gr.update(value=QUEUE if current_run(runs_root()) else "Start")
    common = {"start": start, "runs": listed, "together": overlay(ticked, runs)}
    found = {**common, **(_parts_of_none() if seen is None else _parts_of(seen, epoch, follows))}
    return {name: found[name] for name in Live.__dataclass_fields__}


def _parts_of_none() -> dict[str, Any]:
    """Where there is no run."""
    hidden = dict.fromkeys(HIDDEN_WITHOUT_A_RUN, gr.update(visible=False))
    texts = dict.fromkeys(("diagnosis", "charts", "pictures", "animation", "settings"), "")
    return {**hidden, **texts, "status": views.EMPTY, "name": "", "note": ""}


def _parts_of(seen: Snapshot, epoch: int, follows: bool) -> dict[str, Any]:
    state = seen.status.state
    slider: Any = gr.update(maximum=max(1, seen.last_epoch), visible=seen.last_epoch > 0)
    return {
        "status": views.status_card(seen),
        "diagnosis": views.diagnosis_card(seen),
        **_buttons(seen, state),
        "charts": views.charts(seen),
        "pictures": views.pictures(seen, epoch),
        "epoch": {**slider, "value": epoch} if follows else slider,
        "animation": views.animation(seen),
        "told": gr.update(visible=True),
        "settings": tables.settings(seen.run),
        "labelling": gr.update(visible=True),
        # The id has the update differ from that of another run without a name.
        "name": gr.update(value=seen.label.name, placeholder=seen.run.id),
        "note": gr.update(value=seen.label.note, info=f"Of the run {seen.run.id}"),
    }


def _buttons(seen: Snapshot, state: str) -> dict[str, Any]:
    """What can be done with a run."""
    elsewhere, rests = followed.is_elsewhere(seen.run), state not in ACTIVE
    done, waits = seen.has_result and rests, state == "queued"
    stop = "Take out of the queue" if waits else "Stopping…" if seen.stopping else "Stop"
    weights = weight_choices(seen.run, seen.has_result, seen.kept)
    return {
        "stop": gr.update(visible=waits or not rests, interactive=not seen.stopping, value=stop),
        "resume": gr.update(visible=state in RESUMABLE and not elsewhere),
        "compare": gr.update(visible=done or bool(seen.kept)),
        "weights": gr.update(visible=bool(seen.kept), choices=weights, value=weights[0][1] if weights else None),
        "download": gr.update(visible=done),
        "use": gr.update(visible=True),
        "delete": gr.update(visible=rests and not isinstance(seen.run, followed.FollowedRun)),
        "pushing": gr.update(visible=done),
    }


def weight_choices(run: Run, has_result: bool, kept: Sequence[int]) -> list[tuple[str, str]]:
    """The weights of a run that can be compared: its result, and the epochs that it has kept, the last one first."""
    result = [(f"The result, epoch {run.result_facts().epoch}", RESULT)] if has_result else []
    return [*result, *((f"Epoch {epoch}", str(epoch)) for epoch in reversed(kept))]

"""The Train tab: what to train on one side, the run as its folder tells of it on the other.

The page keeps nothing of a run: a timer reads the run folder anew, so a page that is closed, reloaded or served by
another process finds the run again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr

from ddpo import rewards
from ddpo.common.words import is_finite
from ddpo.errors import UserError
from ddpo.runs import followed
from ddpo.runs.store import Run, runs_root
from ddpo.ui.compare.tab import pair_choices
from ddpo.ui.shared.events import PRIVATE, QUICK
from ddpo.ui.shared.html import message
from ddpo.ui.shared.inputs import OpenSlider
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.space import permission, sign_in
from ddpo.ui.space.asker import Asker, who
from ddpo.ui.train import actions, push, views
from ddpo.ui.train import form as train_form
from ddpo.ui.train.actions import ACTIVE, RESUMABLE, Snapshot
from ddpo.ui.train.scripts import CHOOSE, RAN, SAVE_FILE, TO_RUN, TO_TOP

TROUBLE = "This could not be done"
INTERVAL = 1.5  # seconds between two looks at the run folder
LONGEST_ID = 100  # characters of a run's id in an address
STATE_LIFE = 24 * 3600  # seconds that is remembered what a page shows


@dataclass(frozen=True)
class Live:
    """The components that show a run, in the order of `_parts`."""

    status: gr.HTML
    diagnosis: gr.HTML
    stop: gr.Button
    resume: gr.Button
    compare: gr.Button
    download: gr.Button
    pushing: gr.Accordion
    charts: gr.HTML
    pictures: gr.HTML
    epoch: OpenSlider
    animation: gr.HTML
    runs: gr.HTML


@dataclass(frozen=True)
class Shown:
    """What a page shows: only what has changed since is sent to it."""

    run_id: str | None = None
    last_epoch: int = 0
    parts: dict[str, int] = field(default_factory=dict)  # hash of what each component of Live shows


def build(
    tabs: gr.Tabs, tab: gr.Tab, other_tabs: list[gr.Tab], comparison: dict[str, gr.Component]
) -> tuple[Callable[..., list[Any]], list[gr.Component], list[Any]]:
    """Lay the tab out and connect it.

    Returns: what shows the run that the address names, its inputs and its outputs.

    Args:
        tabs: all tabs, of which the first is selected to compare.
        tab: this one, within which this is called.
        other_tabs: those that hide this one, so that nothing needs to be read.
        comparison: the controls of the first tab by name.
    """
    with gr.Row(elem_id="train-tab", equal_height=False):
        with gr.Column(scale=1, min_width=300, elem_id="train-controls"):
            login = sign_in.build()
            form = train_form.build()
            notice = gr.HTML(elem_id="train-notice")
            with gr.Column(elem_id="train-actions"):
                form.estimate.render()  # type: ignore[no-untyped-call]
                start = gr.Button("Start", variant="primary", size="lg", elem_id="start-button")
            gr.HTML(views.place_line(), elem_id="runs-place")
        with gr.Column(scale=3, min_width=320, elem_id="run"):
            live, push_form = _build_live()
    file = gr.DownloadButton("Result", elem_id="result-file", visible="hidden")
    chosen = gr.State(None, time_to_live=STATE_LIFE)
    shown = gr.State(Shown(), time_to_live=STATE_LIFE)
    timer = gr.Timer(INTERVAL)
    page = _Page(form, notice, live, login, chosen, shown)
    _connect_view(page, tab, other_tabs, timer)
    _connect_actions(page, start, file, tabs, comparison)
    push.connect(push_form, shown, login)
    return _on_address, [live.epoch, shown], [chosen, notice, *page.seen]


@dataclass(frozen=True)
class _Page:
    form: train_form.Form
    notice: gr.HTML
    live: Live
    login: gr.Button
    chosen: gr.State  # id of the run that the visitor chose; None: whichever trains, else the newest
    shown: gr.State

    @property
    def looks(self) -> list[gr.Component]:
        """Inputs of `_look`."""
        return [self.chosen, self.live.epoch, self.shown]

    @property
    def seen(self) -> list[Any]:
        """Outputs of `_look`."""
        return [self.shown, *vars(self.live).values()]


def _build_live() -> tuple[Live, push.PushForm]:
    status = gr.HTML(views.EMPTY, elem_id="run-status")
    with gr.Row(elem_id="run-actions"):
        stop = gr.Button("Stop", variant="stop", size="md", min_width=90, visible=False, elem_id="stop-button")
        resume = gr.Button("Resume", variant="primary", size="md", min_width=90, visible=False, elem_id="resume-button")
        compare = gr.Button("Compare with base", size="md", min_width=170, visible=False, elem_id="compare-run-button")
        download = gr.Button("Download result", size="md", min_width=170, visible=False, elem_id="download-run-button")
    diagnosis = gr.HTML(elem_id="diagnosis")
    charts = gr.HTML(elem_id="charts")
    pictures = gr.HTML(elem_id="run-pictures")
    epoch = OpenSlider(0, 1, 0, step=1, label="Epoch", visible=False, buttons=[], elem_id="epoch-slider")
    animation = gr.HTML(elem_id="animation")
    with gr.Accordion("Push to the Hub", open=False, visible=False, elem_id="push") as pushing:
        push_form = push.build()
    runs = gr.HTML(elem_id="all-runs", js_on_load=CHOOSE)
    return Live(
        status, diagnosis, stop, resume, compare, download, pushing, charts, pictures, epoch, animation, runs
    ), push_form  # fmt: skip


def _connect_view(page: _Page, tab: gr.Tab, other_tabs: list[gr.Tab], timer: gr.Timer) -> None:
    timer.tick(_look, page.looks, page.seen, **QUICK)
    opened = tab.select(lambda: gr.Timer(active=True), None, timer, **QUICK)
    opened.then(_look, page.looks, page.seen, **QUICK)
    tab.select(train_form.told, page.form.values, page.form.estimate, **QUICK)
    for other in other_tabs:
        other.select(lambda: gr.Timer(active=False), None, timer, **QUICK)
    page.live.epoch.input(
        _on_epoch, [page.live.epoch, page.shown], page.live.pictures, trigger_mode="always_last", **QUICK
    )
    outputs = [page.chosen, page.notice, *page.seen]
    choosing = page.live.runs.click(_on_choose, [page.live.epoch, page.shown], outputs, **QUICK)
    choosing.then(None, None, None, js=TO_RUN, **PRIVATE)
    choosing.then(None, None, None, js=RAN, **PRIVATE)


def _connect_actions(
    page: _Page, start: gr.Button, file: gr.DownloadButton, tabs: gr.Tabs, comparison: dict[str, gr.Component]
) -> None:
    live, outputs = page.live, [page.chosen, page.notice, *page.seen]
    press = [page.login, live.epoch, page.shown]
    for event in (
        start.click(_on_start, [*press, *page.form.values], outputs, **QUICK),
        live.stop.click(_on_stop, press, outputs, **QUICK),
        live.resume.click(_on_resume, [*press, page.form.minutes], outputs, **QUICK),
    ):
        event.then(None, None, None, js=TO_RUN, **PRIVATE)
        event.then(None, None, None, js=RAN, **PRIVATE)
        sign_in.refresh(event, page.login)
    zipped = live.download.click(_on_download, page.shown, [page.notice, file], **PRIVATE)
    zipped.success(None, None, None, js=SAVE_FILE, **PRIVATE)
    controls = [comparison[name] for name in ("pair", "scorer", "base", "tuned")]
    opened = live.compare.click(_on_compare, page.shown, [page.notice, tabs, *controls], **QUICK)
    opened.then(None, None, None, js=TO_TOP, **PRIVATE)


def _look(chosen: str | None, epoch: Any, shown: Shown) -> list[Any]:
    """What has changed in the run folder since the page was last told, in the order of _Page.seen."""
    with sentences(TROUBLE):
        run = actions.find(chosen)
        seen = actions.look_at(run) if run else None
        run_id, last = (seen.run.id, seen.last_epoch) if seen else (None, 0)
        # The slider follows the run until the visitor moves it back.
        follows = run_id != shown.run_id or not is_finite(epoch) or epoch >= shown.last_epoch
        parts = _parts(seen, last if follows else int(epoch), follows)
    hashes = {name: hash(repr(value)) for name, value in parts.items()}
    changed = [value if hashes[name] != shown.parts.get(name) else gr.skip() for name, value in parts.items()]
    return [Shown(run_id, last, hashes), *changed]


def _parts(seen: Snapshot | None, epoch: int, follows: bool) -> dict[str, Any]:
    """The value of every component of Live."""
    hidden = gr.update(visible=False)
    if seen is None:
        names = Live.__dataclass_fields__
        texts = ("diagnosis", "charts", "pictures", "animation", "runs")
        empty = {n: views.EMPTY if n == "status" else "" if n in texts else hidden for n in names}
        return {**empty, "runs": views.follow_line()}
    state, done = seen.status.state, seen.has_result and seen.status.state not in ACTIVE
    slider: Any = gr.update(maximum=max(1, seen.last_epoch), visible=seen.last_epoch > 0)
    return {
        "status": views.status_card(seen),
        "diagnosis": views.diagnosis_card(seen),
        "stop": gr.update(
            visible=state in ACTIVE, interactive=not seen.stopping, value="Stopping…" if seen.stopping else "Stop"
        ),
        "resume": gr.update(visible=state in RESUMABLE and not followed.is_elsewhere(seen.run)),
        "compare": gr.update(visible=done),
        "download": gr.update(visible=done),
        "pushing": gr.update(visible=done),
        "charts": views.charts(seen),
        "pictures": views.pictures(seen, epoch),
        "epoch": {**slider, "value": epoch} if follows else slider,
        "animation": views.animation(seen),
        "runs": views.run_list(followed.all_runs(runs_root()), seen.run.id) + views.follow_line(),
    }


def _act(action: Callable[[], Run], epoch: Any, shown: Shown) -> list[Any]:
    """Do something to a run and show it; what went wrong is said beside the controls and stays there."""
    chosen, notice = shown.run_id, ""
    try:
        with sentences(TROUBLE):
            chosen = action().id
    except gr.Error as error:
        notice = message(TROUBLE, unescape(error.message))
    return [chosen, notice, *_look(chosen, epoch, shown)]


def _check(asker: Asker, profile: gr.OAuthProfile | None, label: Any) -> None:
    """As `permission.check_training`, for who presses a button; `label` is that of the one to sign in with."""
    try:
        permission.check_training(asker)
    except UserError:
        if sign_in.has_expired(profile, label):
            raise UserError(sign_in.EXPIRED) from None
        raise


def _on_start(
    request: gr.Request, profile: gr.OAuthProfile | None, label: Any, epoch: Any, shown: Shown, *values: Any
) -> list[Any]:
    def action() -> Run:
        asker = who(request, profile)
        _check(asker, profile, label)
        return actions.start(*train_form.read(asker, values))

    return _act(action, epoch, shown)


def _on_stop(request: gr.Request, profile: gr.OAuthProfile | None, label: Any, epoch: Any, shown: Shown) -> list[Any]:
    def action() -> Run:
        _check(who(request, profile), profile, label)
        return actions.stop(actions.need(shown.run_id))

    return _act(action, epoch, shown)


def _on_resume(
    request: gr.Request, profile: gr.OAuthProfile | None, label: Any, epoch: Any, shown: Shown, minutes: Any
) -> list[Any]:
    def action() -> Run:
        _check(who(request, profile), profile, label)
        return actions.resume(actions.need(shown.run_id), minutes or None)

    return _act(action, epoch, shown)


def _on_choose(epoch: Any, shown: Shown, event: gr.EventData) -> list[Any]:
    run_id = event._data.get("run") if isinstance(event._data, dict) else None
    return _act(lambda: actions.need(run_id if isinstance(run_id, str) else shown.run_id), epoch, shown)


def _on_address(request: gr.Request, epoch: Any, shown: Shown) -> list[Any]:
    """The run that the address names; where it names none, whichever trains, else the newest."""
    run_id = request.query_params.get("run", "")[:LONGEST_ID]
    if not run_id:
        return [None, "", gr.skip(), *[gr.skip()] * len(Live.__dataclass_fields__)]
    return _act(lambda: actions.need(run_id), epoch, shown)


def _on_epoch(epoch: Any, shown: Shown) -> Any:
    run = actions.find(shown.run_id)
    if run is None or not is_finite(epoch):
        return gr.skip()
    return views.pictures(actions.look_at(run), int(epoch))


def _on_download(request: gr.Request, shown: Shown) -> Iterator[tuple[Any, Any]]:
    try:
        with sentences(TROUBLE), tempfile.TemporaryDirectory() as folder:
            run = actions.need(shown.run_id)
            permission.check_result(run, who(request))
            yield "", str(actions.write_archive(run, Path(folder)))
    except gr.Error as error:
        yield message(TROUBLE, unescape(error.message)), None
        raise error


def _on_compare(shown: Shown) -> tuple[Any, ...]:
    """Select the first tab, with the base and the result of the run that is shown."""
    try:
        with sentences(TROUBLE):
            run = actions.need(shown.run_id)
    except gr.Error as error:
        return message(TROUBLE, unescape(error.message)), *[gr.skip()] * 5
    scorer = run.spec.reward if run.spec.reward in rewards.REWARDS else gr.skip()  # another would not be in its list
    pair = {**pair_choices(), "value": f"run:{run.id}"}
    return "", gr.Tabs(selected="compare"), pair, scorer, "", ""

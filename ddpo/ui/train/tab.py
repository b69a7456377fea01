"""The Train tab: what to train on one side, the run as its folder tells of it on the other.

The page keeps nothing of a run: a timer reads the run folder anew, so a page that is closed, reloaded or served by
another process finds the run again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr

from ddpo import rewards
from ddpo.common.words import is_finite
from ddpo.errors import UserError
from ddpo.runs import epoch_weights
from ddpo.runs.pairs import RUN, get_pair
from ddpo.runs.store import Run, runs_root
from ddpo.ui.compare.tab import pair_choices
from ddpo.ui.shared.events import PRIVATE, QUICK
from ddpo.ui.shared.html import message
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.space import permission, sign_in
from ddpo.ui.space.asker import Asker, who
from ddpo.ui.train import actions, beginning, layout, managing, push, views
from ddpo.ui.train import form as train_form
from ddpo.ui.train.archive import write_archive
from ddpo.ui.train.live import RESULT, TROUBLE, Live, Shown, look, weight_choices
from ddpo.ui.train.overlay import checked
from ddpo.ui.train.scripts import RAN, SAVE_FILE, TO_FORM, TO_RUN, TO_TOP

INTERVAL = 1.5  # seconds between two looks at the run folder
LONGEST_ID = 100  # characters of a run's id in an address
STATE_LIFE = 24 * 3600  # seconds that is remembered what a page shows


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
            live, push_form, question, save = layout.build_live(start)
    file = gr.DownloadButton("Result", elem_id="result-file", visible="hidden")
    chosen = gr.State(None, time_to_live=STATE_LIFE)
    shown = gr.State(Shown(), time_to_live=STATE_LIFE)
    timer = gr.Timer(INTERVAL)
    page = _Page(form, notice, live, login, chosen, shown, gr.State((), time_to_live=STATE_LIFE))
    beginning.watch(runs_root())
    _connect_view(page, tab, other_tabs, timer, question)
    _connect_actions(page, file, tabs, comparison)
    _connect_managing(page, question, save)
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
    ticked: gr.State  # ids of the runs that are ticked in the list

    @property
    def looks(self) -> list[gr.Component]:
        """Inputs of `look`."""
        return [self.chosen, self.live.epoch, self.shown, self.ticked]

    @property
    def press(self) -> list[gr.Component]:
        """Inputs of what is pressed, after which the page is looked at anew."""
        return [self.login, self.live.epoch, self.shown]

    @property
    def seen(self) -> list[Any]:
        """Outputs of `look`."""
        return [self.shown, *vars(self.live).values()]

    @property
    def acted(self) -> list[Any]:
        """Outputs of `_act`."""
        return [self.chosen, self.notice, *self.seen]


def _connect_view(
    page: _Page, tab: gr.Tab, other_tabs: list[gr.Tab], timer: gr.Timer, question: managing.Question
) -> None:
    timer.tick(look, page.looks, page.seen, **QUICK)
    opened = tab.select(lambda: gr.Timer(active=True), None, timer, **QUICK)
    opened.then(look, page.looks, page.seen, **QUICK)
    tab.select(train_form.told, page.form.values, page.form.estimate, **QUICK)
    for other in other_tabs:
        other.select(lambda: gr.Timer(active=False), None, timer, **QUICK)
    page.live.epoch.input(
        _on_epoch, [page.live.epoch, page.shown], page.live.pictures, trigger_mode="always_last", **QUICK
    )
    choosing = page.live.runs.click(_on_choose, [page.live.epoch, page.shown], page.acted, **QUICK)
    choosing.then(lambda: managing.HIDDEN, None, question.box, **QUICK)
    choosing.then(None, None, None, js=TO_RUN, **PRIVATE)
    choosing.then(None, None, None, js=RAN, **PRIVATE)
    ticking = page.live.runs.input(_on_tick, None, page.ticked, trigger_mode="always_last", **QUICK)
    ticking.then(look, page.looks, page.seen, **QUICK)


def _connect_actions(page: _Page, file: gr.DownloadButton, tabs: gr.Tabs, comparison: dict[str, gr.Component]) -> None:
    live = page.live
    for event in (
        live.start.click(_on_start, [*page.press, *page.form.values], page.acted, **QUICK),
        live.stop.click(_on_stop, page.press, page.acted, **QUICK),
        live.resume.click(_on_resume, [*page.press, page.form.minutes], page.acted, **QUICK),
    ):
        event.then(None, None, None, js=TO_RUN, **PRIVATE)
        event.then(None, None, None, js=RAN, **PRIVATE)
        sign_in.refresh(event, page.login)
    zipped = live.download.click(_on_download, page.shown, [page.notice, file], **PRIVATE)
    zipped.success(None, None, None, js=SAVE_FILE, **PRIVATE)
    controls = [comparison[name] for name in ("pair", "scorer", "base", "tuned")]
    opened = live.compare.click(_on_compare, [page.shown, live.weights], [page.notice, tabs, *controls], **QUICK)
    opened.then(None, None, None, js=TO_TOP, **PRIVATE)
    used = live.use.click(_on_use, page.shown, [page.notice, *page.form.values], **QUICK)
    used.then(None, None, None, js=TO_FORM, **PRIVATE)


def _connect_managing(page: _Page, question: managing.Question, save: gr.Button) -> None:
    managing.connect_question(question, page.live.delete, page.shown)
    asked = [*page.press, question.doomed]
    deleted = question.yes.click(_on_delete, asked, [question.box, *page.acted], **QUICK)
    deleted.then(None, None, None, js=RAN, **PRIVATE)
    sign_in.refresh(deleted, page.login)
    labelled = save.click(_on_label, [*page.press, page.live.name, page.live.note], page.acted, **QUICK)
    sign_in.refresh(labelled, page.login)


def _act(action: Callable[[], Run | None], epoch: Any, shown: Shown) -> list[Any]:
    """Do something to a run and show it; what went wrong is said beside the controls and stays there."""
    chosen, notice = shown.run_id, ""
    try:
        with sentences(TROUBLE):
            run = action()
            chosen = run.id if run else None
    except gr.Error as error:
        notice = message(TROUBLE, unescape(error.message))
    return [chosen, notice, *look(chosen, epoch, shown)]


def _check(
    asker: Asker,
    profile: gr.OAuthProfile | None,
    label: Any,
    check: Callable[[Asker], None] = permission.check_training,
) -> None:
    """As `check`, for who presses a button; `label` is that of the one to sign in with."""
    try:
        check(asker)
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
        return actions.start(*train_form.read(asker, values), wait=True)

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
        return actions.resume(actions.need(shown.run_id), minutes or None, wait=True)

    return _act(action, epoch, shown)


def _on_delete(
    request: gr.Request, profile: gr.OAuthProfile | None, label: Any, epoch: Any, shown: Shown, doomed: str | None
) -> list[Any]:
    def action() -> None:
        _check(who(request, profile), profile, label, permission.check_managing)
        if not doomed:
            raise UserError("Nothing was asked; press Delete of a run first.")
        actions.delete(actions.need(doomed))

    return [managing.HIDDEN, *_act(action, epoch, shown)]


def _on_label(
    request: gr.Request,
    profile: gr.OAuthProfile | None,
    label: Any,
    epoch: Any,
    shown: Shown,
    name: Any,
    note: Any,
) -> list[Any]:
    def action() -> Run:
        _check(who(request, profile), profile, label, permission.check_managing)
        return actions.label(actions.need(shown.run_id), name, note)

    return _act(action, epoch, shown)


def _on_choose(epoch: Any, shown: Shown, event: gr.EventData) -> list[Any]:
    run_id = event._data.get("run") if isinstance(event._data, dict) else None
    return _act(lambda: actions.need(run_id if isinstance(run_id, str) else shown.run_id), epoch, shown)


def _on_tick(event: gr.EventData) -> tuple[str, ...]:
    return checked(event._data.get("ticked") if isinstance(event._data, dict) else None)


def _on_use(request: gr.Request, shown: Shown) -> list[Any]:
    """Fill the form with the settings of the run that is shown."""
    try:
        with sentences(TROUBLE):
            return ["", *train_form.filled(who(request), actions.need(shown.run_id).spec)]
    except gr.Error as error:
        return [message(TROUBLE, unescape(error.message)), *[gr.skip()] * train_form.COUNT]


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
            yield "", str(write_archive(run, Path(folder)))
    except gr.Error as error:
        yield message(TROUBLE, unescape(error.message)), None
        raise error


def _on_compare(shown: Shown, weights: Any) -> tuple[Any, ...]:
    """Select the first tab, with the base and the result of the run that is shown, or the epoch that is chosen."""
    try:
        with sentences(TROUBLE):
            run = actions.need(shown.run_id)
            choices = [value for _, value in weight_choices(run, run.has_result(), epoch_weights.kept(run))]
            epoch = weights if weights in choices else next(iter(choices), RESULT)
            pair = get_pair(f"{RUN}{run.id}" if epoch == RESULT else f"{RUN}{run.id}@{epoch}").name
    except gr.Error as error:
        return message(TROUBLE, unescape(error.message)), *[gr.skip()] * 5
    scorer = run.spec.reward if run.spec.reward in rewards.REWARDS else gr.skip()  # another would not be in its list
    chosen = {**pair_choices(pair), "value": pair}
    return "", gr.Tabs(selected="compare"), chosen, scorer, "", ""

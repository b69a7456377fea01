"""The Evaluate tab: the grid and its cost on one side, cells as they finish and the verdict on the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from ddpo.common.machine import on_zero_gpu
from ddpo.errors import UserError
from ddpo.evaluation.evaluate import CellDone
from ddpo.evaluation.export import write_folder, zip_of
from ddpo.evaluation.results import Results
from ddpo.evaluation.store import CellStore
from ddpo.ui.compare import turn
from ddpo.ui.compare import views as compare_views
from ddpo.ui.evaluate import form as evaluate_form
from ddpo.ui.evaluate import kept, link, pictures, storage, views
from ddpo.ui.evaluate.form import FIELDS
from ddpo.ui.evaluate.run import Seldom, follow, lent_seconds, seconds_here
from ddpo.ui.shared import framed, html, uploads
from ddpo.ui.shared.events import CANCELLING, EVALUATES, PRIVATE, QUICK, UNTIMED, cancelling
from ddpo.ui.shared.linked import TROUBLE as ADDRESS_TROUBLE
from ddpo.ui.shared.linked import Linked, is_named, remembered, remembering
from ddpo.ui.shared.sentences import sentence_for, sentences
from ddpo.ui.space import permission, quota
from ddpo.ui.space.asker import Asker, who

TROUBLE = "This could not be evaluated"
EVALUATING = "Evaluating…"  # what the button says meanwhile
MOST_SHEETS = 40  # cells whose pictures are in the zip, 12 MB of church-64
STATE_LIFE = 3600  # seconds that finished results are remembered for their visitor
SHOW_RESULTS = (
    f"() => {{ if (window.innerWidth < 900) setTimeout(() => {framed.scroll_to('#evaluate-status')}, 150); }}"
)


@dataclass(frozen=True)
class Shown:
    """The components that an evaluation fills."""

    evaluate: gr.Button
    cancel: gr.Button
    notice: gr.HTML
    status: gr.HTML
    verdicts: gr.HTML
    report: gr.DownloadButton
    archive: gr.DownloadButton
    figures: gr.HTML
    by_gain: gr.HTML
    one_seed: gr.HTML
    neighbours: gr.HTML
    state: gr.State


def build(tab: gr.Tab) -> Linked:
    """Lay the tab out, within it, and connect it.

    Returns: what shows the evaluation that the address names.
    """
    with gr.Row(elem_id="evaluate-tab", equal_height=False):
        with gr.Column(scale=1, min_width=300, elem_id="evaluate-controls"):
            form = evaluate_form.build()
            with gr.Column(elem_id="evaluate-actions"):
                cost = gr.HTML(elem_id="evaluate-cost")
                with gr.Row(elem_id="evaluate-buttons"):
                    evaluate = gr.Button(
                        "Evaluate", variant="primary", size="lg", min_width=80, elem_id="evaluate-button"
                    )
                    cancel = gr.Button(
                        "Cancel", variant="stop", size="lg", min_width=80, visible=False, elem_id="evaluate-cancel"
                    )
        with gr.Column(scale=3, min_width=320, elem_id="evaluation"):
            shown = _build_results(evaluate, cancel)
    _connect(form, shown)
    tab.select(_lists, None, [form.pair, form.others], **QUICK)
    lines = [cost, form.power]
    tab.select(_told, form.values, lines, **QUICK)  # not before, as it imports what only this tab needs
    gr.on([control.change for control in form.values], _told, form.values, lines, trigger_mode="always_last", **QUICK)
    return _connect_address(form, shown)


def _connect_address(form: evaluate_form.Form, shown: Shown) -> Linked:
    """Have the address follow the form; returns what of both is restored."""
    last_used = remembering()
    changed, begun = (f"(...values) => studio.evaluation.{told}(values)" for told in ("changed", "begun"))
    for field in form.values:
        field.change(None, form.values, None, js=changed, **PRIVATE)
    shown.evaluate.click(None, form.values, None, js=begun, **PRIVATE)

    def read(request: gr.Request, label: Any, key: Any, last: Any) -> list[Any]:
        address = dict(request.query_params)
        if is_named(address, link.NAMES):
            return _linked(form, who(request), address, label, key)
        found, _ = link.settings(who(request), remembered(last), link.opening(form)) if last else ({}, [])
        return [*(link.updates(form, found) if found else [gr.skip()] * len(form.values)), *_changed()]

    def read_again(request: gr.Request, label: Any, key: Any, _last: Any) -> list[Any]:
        return read(request, label, key, None)

    return Linked(
        read,
        [shown.evaluate, shown.state, last_used],
        [*form.values, *vars(shown).values()],
        again=read_again,
        followed=form.values,
        js="(...values) => studio.evaluation.opened(values)",
        last_used=last_used,
    )


def _linked(form: evaluate_form.Form, asker: Asker, address: Mapping[str, str], label: Any, key: Any) -> list[Any]:
    """The form as an address has it, and the results where they are at hand; of a running evaluation, nothing.

    Args:
        form: the controls.
        asker: who opened it.
        address: its parameters.
        label: what the button says.
        key: of the results that are shown.
    """
    opening = link.opening(form)
    found, problems = link.settings(asker, address, opening)
    notice = html.message(ADDRESS_TROUBLE, " ".join(problems)) if problems else ""
    if label in (EVALUATING, CANCELLING):
        return [*link.updates(form, found), *_changed()]
    same = kept.find_same(evaluate_form.read(asker, [{**opening, **found}[name] for name in FIELDS]))
    if same == key:
        shown = _changed(notice=notice) if key else _changed(notice=notice, status=views.LINKED)
    elif results := kept.results.find(same):
        shown = _changed(**{**of_results(results, str(same)), "notice": notice})
    else:
        shown = _changed(notice=notice)  # what was evaluated here before stays, as when a field is changed by hand
    return [*link.updates(form, found), *shown]


def _build_results(evaluate: gr.Button, cancel: gr.Button) -> Shown:
    return Shown(
        evaluate,
        cancel,
        notice=gr.HTML("", elem_id="evaluate-notice"),  # apart, as a slow page gets progress after the press of Cancel
        status=gr.HTML(views.EMPTY, elem_id="evaluate-status"),
        verdicts=gr.HTML("", elem_id="verdicts"),
        report=gr.DownloadButton("Download the report (HTML)", size="md", visible=False, elem_id="evaluate-report"),
        archive=gr.DownloadButton("Download all (zip)", size="md", visible=False, elem_id="evaluate-zip"),
        figures=gr.HTML("", elem_id="evaluate-figures"),
        by_gain=gr.HTML("", elem_id="by-gain", js_on_load="studio.choices(element, trigger)"),
        one_seed=gr.HTML("", elem_id="one-seed"),
        neighbours=gr.HTML("", elem_id="neighbours"),
        state=gr.State(None, time_to_live=STATE_LIFE),
    )


def _connect(form: evaluate_form.Form, shown: Shown) -> None:
    outputs = list(vars(shown).values())
    buttons = [shown.evaluate, shown.cancel, shown.notice, shown.status]
    begun = shown.evaluate.click(_on_begin, None, buttons, **QUICK)
    shown.evaluate.click(None, None, None, js=SHOW_RESULTS, **PRIVATE)
    run = begun.then(_on_evaluate, form.values, outputs, **UNTIMED, **PRIVATE, **EVALUATES)
    run.failure(_on_refused, shown.evaluate, outputs, **QUICK)
    # Gradio ignores a press that comes before its request to cancel is answered, and ends the run once it is.
    shown.cancel.click(None, shown.evaluate, shown.evaluate, js=cancelling(EVALUATING), **PRIVATE)
    shown.cancel.click(None, None, None, cancels=[run], **PRIVATE)
    run.then(_on_ended, shown.evaluate, outputs, **QUICK)
    turn.connect(shown.evaluate, shown.status, EVALUATING, EVALUATES["concurrency_id"], "evaluation")
    shown.by_gain.click(_on_choose, shown.state, shown.one_seed, trigger_mode="multiple", **QUICK)


def _lists() -> tuple[Any, Any]:
    """The lists of pairs and models, which grow with every run that is finished."""
    return gr.update(choices=evaluate_form.pairs()), gr.update(choices=evaluate_form.other_models())


def _told(request: gr.Request | None, profile: gr.OAuthProfile | None, *values: Any) -> tuple[str, str]:
    """What the evaluation takes, or why it cannot be done; and what its seeds can show."""
    try:
        asker = who(request, profile)
        evaluation = evaluate_form.read(asker, values)
        line = views.cost_line(evaluation, None if on_zero_gpu() else seconds_here(evaluation))
        if on_zero_gpu():
            each = [lent_seconds(evaluation, point) for point in evaluation.points]
            line = quota.calls_line(each, profile) + line
    except UserError as error:
        return views.problem_line(sentence_for(error)), ""
    return line, views.power_line(evaluation)


def _on_begin() -> tuple[Any, Any, str, str]:
    return gr.update(value=EVALUATING, interactive=False), gr.update(visible=True), "", compare_views.waiting()


def _on_refused(label: Any) -> list[Any]:
    """Where the queue took no evaluation, so that nothing else gives the buttons back."""
    if label != EVALUATING:
        return [gr.skip()] * len(Shown.__dataclass_fields__)
    return _idle(
        html.message("Not started", "Too many evaluations wait already; try again when some of them are done.")
    )


def _on_evaluate(request: gr.Request, profile: gr.OAuthProfile | None, *values: Any) -> Iterator[Any]:
    """Runs an evaluation; closing this generator, which Gradio does on cancel and when the page is gone, stops it."""
    try:
        with sentences(TROUBLE):
            asker = who(request, profile)
            evaluation = evaluate_form.read(asker, values)
            results, seldom = Results(evaluation, []), Seldom()
            yield _changed(
                figures="", verdicts="", by_gain="", one_seed="", neighbours="", report=gr.update(visible=False)
            )
            for event in follow(evaluation, permission.most_pixel_steps(asker)):
                if not isinstance(event, CellDone):
                    card = views.progress_card(event, len(results.cells), evaluation)
                    yield _changed(status=card)
                    continue
                results = event.results
                if seldom.is_due() and not results.is_complete:
                    with seldom.doing():
                        partial = _changed(verdicts=views.verdicts(results), figures=views.figures(results))
                    yield partial
            yield _changed(**of_results(results, kept.results.keep(results)))
    except gr.Error as error:
        yield _idle(html.message(TROUBLE, unescape(error.message)))  # an error alone leaves the buttons as they are
        raise error


def _changed(**parts: Any) -> list[Any]:
    """Some of what is shown, by the names of Shown, and the rest as it is."""
    return [parts.get(name, gr.skip()) for name in Shown.__dataclass_fields__]


def _on_ended(label: Any) -> list[Any]:
    """Where the run was cancelled, as its last words went nowhere."""
    if label != CANCELLING:
        return [gr.skip()] * len(Shown.__dataclass_fields__)
    told = "The evaluation was stopped. Finished cells are kept: Evaluate goes on from there."
    return _idle(html.message("Cancelled", told))


def _idle(notice: str) -> list[Any]:
    """No evaluation runs; what was shown of it stays."""
    ready, hidden = gr.update(value="Evaluate", interactive=True), gr.update(visible=False)
    return _changed(evaluate=ready, cancel=hidden, notice=notice, status="")


def of_results(results: Results, key: str) -> dict[str, Any]:
    """What the components show of whole results, by their names."""
    store, place = storage.store(), pictures.middle_seed(results)
    report, archive = _downloads(results, store)
    return {
        "evaluate": gr.update(value="Evaluate", interactive=True),
        "cancel": gr.update(visible=False),
        "notice": "",
        "status": "",
        "verdicts": views.verdicts(results),
        "report": gr.update(value=report, visible=True),
        "archive": gr.update(value=archive, visible=True),
        "figures": views.figures(results),
        "by_gain": pictures.by_gain(results, store, place),
        "one_seed": pictures.one_seed(results, store, place),
        "neighbours": pictures.neighbours(results, store),
        "state": key,
    }


def _downloads(results: Results, store: CellStore) -> list[str]:
    """The report and the zip, where Gradio keeps what it serves."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_folder(results, store, Path(folder), MOST_SHEETS)
        paths = Path(folder) / "report.html", zip_of(files, Path(folder))
        return [save_file_to_cache(path, cache_dir=str(uploads.own_folder())) for path in paths]


def _on_choose(key: Any, event: gr.EventData) -> Any:
    """The seed that was pressed, drawn in every way."""
    results = kept.results.find(key)
    place = event._data.get("index") if isinstance(event._data, dict) else None
    if results is None or type(place) is not int or not 0 <= place < len(results.evaluation.seeds):
        return gr.skip()
    with sentences(TROUBLE):
        return pictures.one_seed(results, storage.store(), place)

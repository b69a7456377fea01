"""The Compare tab: controls on one side, progress and results on the other."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any

import gradio as gr

from ddpo.common.machine import on_space
from ddpo.comparison import first_choice
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.settings import DEFAULT_SAMPLES, MAX_SAMPLES, MAX_SEED, ComparisonSettings, resolve
from ddpo.diffusion import schedulers
from ddpo.diffusion.catalogue import PAIRS
from ddpo.errors import UserError
from ddpo.runs.pairs import OWN, get_pair, run_pairs
from ddpo.ui.compare import closer, rescoring, results, turn, views
from ddpo.ui.compare.results import COMPARING, Results
from ddpo.ui.compare.run import comparison_seconds, follow, make_settings
from ddpo.ui.shared import framed, html, scorer_fields
from ddpo.ui.shared.events import CANCELLING, COMPARES, PRIVATE, QUICK, UNTIMED, cancelling
from ddpo.ui.shared.inputs import OpenDropdown, OpenNumber, OpenSlider
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.space import permission, quota
from ddpo.ui.space.asker import Asker, who

TROUBLE = "This could not be compared"

FIELDS = ("pair", "scheduler", "steps", "eta", "samples", "seed", "scorer", "like", "unlike", "base", "tuned")

SHOW_RESULTS = f"() => {{ if (window.innerWidth < 900) setTimeout(() => {framed.scroll_to('#status')}, 150); }}"


def build() -> tuple[dict[str, gr.Component], Results]:
    """Lay the tab out and connect it; returns its controls by the names in FIELDS, and what a comparison fills."""
    with gr.Row(elem_id="compare-tab", equal_height=False):
        with gr.Column(scale=1, min_width=300, elem_id="controls"):
            controls = _build_controls()
            with gr.Column(elem_id="compare-actions"):
                cost = quota.build("compare-quota")
                with gr.Row(elem_id="actions"):
                    compare = gr.Button("Compare", variant="primary", size="lg", min_width=80, elem_id="compare-button")
                    cancel = gr.Button(
                        "Cancel", variant="stop", size="lg", min_width=80, visible=False, elem_id="cancel-button"
                    )
        with gr.Column(scale=3, min_width=320, elem_id="results"):
            outcome = results.build(compare, cancel)
            closer.build(outcome)
    _connect(controls, outcome)
    quota.follow(cost, controls, _cost)
    return dict(zip(FIELDS, controls, strict=True)), outcome


def pair_choices(named: str | None = None) -> Any:
    """An update of the list of pairs, which grows with every run that is finished.

    Args:
        named: of one that is chosen, such as an epoch of a run, which the list has only then.
    """
    return gr.update(choices=_pairs(named))


def _pairs(named: str | None = None) -> list[tuple[str, str]]:
    """The catalogue and two models of one's own, and behind them the runs, so that these bury nothing."""
    pairs = [*PAIRS.values(), get_pair(OWN), *run_pairs()]
    if named is not None and (chosen := get_pair(named)) not in pairs:
        pairs.append(chosen)
    return [(pair.title, pair.name) for pair in pairs]


def _build_controls() -> list[gr.Component]:
    """The controls, in the order of FIELDS."""
    default = schedulers.get_scheduler("ddim")
    with gr.Group(elem_id="settings"):
        first = first_choice.choose()
        pair = OpenDropdown(_pairs(), value=first.pair, label="Model pair", elem_id="pair")
        about_pair = gr.HTML(views.about_pair(first.pair), elem_id="about-pair")
        base, tuned = _build_own_models()
        scorer = scorer_fields.build("compare", first_choice.scorer(first.pair))
        choices = [(s.title, s.name) for s in schedulers.SCHEDULERS.values()]
        scheduler = gr.Dropdown(choices, value=default.name, label="Noise scheduler", elem_id="scheduler")
        about = gr.HTML(_about_scheduler(default.name), elem_id="about-scheduler")
        steps = OpenSlider(1, schedulers.MAX_STEPS, default.default_steps, step=1, label="Steps", elem_id="steps")
        eta = OpenSlider(0, 1, 0, step=0.05, label="Noise share eta", elem_id="eta")
        samples = OpenSlider(1, MAX_SAMPLES, DEFAULT_SAMPLES, step=1, label="Pictures per model", elem_id="samples")
        with gr.Row(elem_id="seed-row"):
            seed = OpenNumber(0, label="First seed", precision=0, min_width=80, scale=4, elem_id="seed")
            dice = gr.Button("Random seed", min_width=48, scale=0, elem_id="dice")
    dice.click(None, None, seed, js=f"() => Math.floor(Math.random() * {MAX_SEED + 1})", **PRIVATE)
    scheduler.change(_about_scheduler, scheduler, about, **QUICK)
    scheduler.input(_on_scheduler, scheduler, [steps, eta], **QUICK)  # by a visitor's hand; an address may name its own
    pair.change(_on_pair, pair, [about_pair, base, tuned], **QUICK)
    pair.input(lambda name: first_choice.scorer(str(name)), pair, scorer[0], **QUICK)  # by a visitor's hand only
    return [pair, scheduler, steps, eta, samples, seed, *scorer, base, tuned]


def _build_own_models() -> tuple[gr.Textbox, gr.Textbox]:
    """Two fields for any two models, hidden until that is chosen."""
    hint = "owner/name" if on_space() else "owner/name, or a folder"
    base = gr.Textbox(label="Base", placeholder=hint, visible=False, elem_id="own-base")
    tuned = gr.Textbox(label="Finetuned", placeholder=hint, visible=False, elem_id="own-tuned")
    return base, tuned


def _connect(controls: list[gr.Component], outcome: Results) -> None:
    outputs = list(vars(outcome).values())
    begun = outcome.compare.click(results.begun, None, outputs, **QUICK)
    outcome.compare.click(None, None, None, js=SHOW_RESULTS, **PRIVATE)
    run = begun.then(_on_compare, [outcome.state, *controls], outputs, **UNTIMED, **PRIVATE, **COMPARES)
    run.success(None, None, None, js="() => studio.finished()", **PRIVATE)
    run.failure(_on_refused, [outcome.compare, outcome.state], outputs, **QUICK)
    # Gradio ignores a press that comes before its request to cancel is answered, and ends the run once it is.
    outcome.cancel.click(None, outcome.compare, outcome.compare, js=cancelling(COMPARING), **PRIVATE)
    outcome.cancel.click(None, None, None, cancels=[run], **PRIVATE)
    run.then(_on_ended, [outcome.compare, outcome.state, outcome.status], outputs, **QUICK)
    turn.connect(outcome.compare, outcome.status, COMPARING, COMPARES["concurrency_id"], "comparison")
    chosen = [outcome.line, outcome.slider]
    outcome.pictures.click(_on_choose, outcome.state, chosen, trigger_mode="multiple", **QUICK)  # none is left out


def _on_pair(name: Any) -> tuple[str, Any, Any]:
    own = gr.update(visible=name == OWN)
    return views.about_pair(name), own, own


def _about_scheduler(name: str) -> str:
    spec = schedulers.get_scheduler(name)
    hint = f" {spec.enough} steps score church-64 about as high as 50." if spec.enough else ""
    return f'<p class="hint">{spec.description}{hint}</p>'


def _on_scheduler(name: str) -> tuple[Any, Any]:
    spec = schedulers.get_scheduler(name)
    steps = gr.update(value=spec.default_steps, minimum=spec.min_steps)
    return steps, gr.update(visible=spec.takes_eta)


def _on_refused(label: Any, key: str | None) -> list[Any]:
    """Where the queue took no comparison, so that nothing else gives the buttons back."""
    if label != COMPARING:
        return [gr.skip()] * len(Results.__dataclass_fields__)
    sentence = "Too many comparisons wait already; try again when some of them are done."
    return results.shown(key, html.message("Not started", sentence))


def _on_compare(
    request: gr.Request, profile: gr.OAuthProfile | None, key: str | None, *values: Any
) -> Iterator[list[Any]]:
    """Runs a comparison; closing this generator, which Gradio does on cancel and when the page is gone, stops it."""
    try:
        with sentences(TROUBLE):
            asker = who(request, profile)
            settings = _read(asker, dict(zip(FIELDS, values, strict=True)))
            for event in _events(settings, permission.most_pixel_steps(asker)):
                if isinstance(event, ComparisonResult):
                    yield results.finished(event)
                else:
                    yield results.running(event, settings)
    except gr.Error as error:
        # An error alone would leave the buttons as they are, and what was shown before stays.
        yield results.shown(key, html.message(TROUBLE, unescape(error.message)))
        raise error


def _events(settings: ComparisonSettings, most: float | None) -> Iterator[Progress | ComparisonResult]:
    """Of pictures that were drawn here for another scorer, nothing is drawn again."""
    drawn = rescoring.drawn(settings)
    return follow(settings, most) if drawn is None else rescoring.follow(drawn, resolve(settings).scorer.name)


def _read(asker: Asker, values: dict[str, Any]) -> ComparisonSettings:
    """Settings from the controls by name; models that were typed for another choice of pair do not count."""
    scorer = scorer_fields.full_name(*(values.pop(name) for name in ("scorer", "like", "unlike")))
    if values["pair"] != OWN:
        values = {**values, "base": None, "tuned": None}
    return make_settings(asker, scorer=scorer, **values)


def _cost(profile: gr.OAuthProfile | None, *values: Any) -> str:
    """What the comparison costs on ZeroGPU; nothing for settings that cannot be compared, as Compare says why."""
    try:
        settings = _read(Asker.VISITOR, dict(zip(FIELDS, values, strict=True)))  # the line is there on Spaces only
        return quota.call_line(comparison_seconds(settings), profile)
    except UserError:
        return ""


def _on_ended(label: Any, key: str | None, status: Any) -> list[Any]:
    """Where the run was cancelled, as its last words went nowhere."""
    if label != CANCELLING:
        return [gr.skip()] * len(Results.__dataclass_fields__)
    return results.shown(key, html.message("Cancelled", turn.cancelled(status)))


def _on_choose(key: str | None, event: gr.EventData) -> tuple[Any, Any]:
    return results.chosen(key, event._data.get("index") if isinstance(event._data, dict) else None)

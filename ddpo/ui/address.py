"""What the page's address asks for, and how the address follows the page: a tab, a run, the fields of a comparison.

Pictures depend on the settings alone, so the settings are the link. The browser's half is `page.js`. A Space's page
hands its own address on to the frame in which the app is, when it loads; so the same links work there. It takes a new
one from the frame as a message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import gradio as gr
from huggingface_hub import constants

from ddpo import rewards
from ddpo.comparison import first_choice
from ddpo.comparison.settings import ComparisonSettings, resolve
from ddpo.diffusion import schedulers
from ddpo.runs.pairs import OWN
from ddpo.ui.compare import results, views
from ddpo.ui.compare.results import COMPARING, Results
from ddpo.ui.compare.run import make_settings
from ddpo.ui.compare.tab import pair_choices
from ddpo.ui.shared import html, scorer_fields
from ddpo.ui.shared.events import PRIVATE, QUICK
from ddpo.ui.shared.linked import LONGEST, TROUBLE, Linked, is_named, number, read_groups, remembered, remembering
from ddpo.ui.space.asker import Asker, who

# Read in this order, since what is right for one depends on those before it.
GROUPS = (("pair", "base", "tuned"), ("scheduler",), ("steps",), ("eta",), ("samples",), ("seed",), ("scorer",))
NAMES = tuple(name for group in GROUPS for name in group)
NUMBERS = ("steps", "eta", "samples", "seed")


def connect(
    demo: gr.Blocks, tabs: gr.Tabs, controls: dict[str, gr.Component], outcome: Results, card: gr.HTML, *others: Linked
) -> None:
    """Read the address when the page loads and when its visitor goes back, and have it follow the page.

    Args:
        demo: the page.
        tabs: its tabs, which are all there.
        controls: of a comparison, by name.
        outcome: what a comparison fills.
        card: says what could not be used.
        *others: what is restored besides.
    """
    fields = list(controls.values())
    tab_names = [str(tab.id) for tab in tabs.children if isinstance(tab, gr.Tab)]
    inputs, outputs = [outcome.compare, outcome.state], [tabs, card, *fields, *vars(outcome).values()]
    last_used = remembering()

    def answer(found: dict[str, Any], label: Any, shown: list[Any]) -> list[Any]:
        """Of a comparison that is being drawn, nothing is replaced."""
        shown = [gr.skip()] * len(shown) if label == COMPARING else shown
        return [*(found.get(name, gr.skip()) for name in ("tab", "card", *controls)), *shown]

    def read(request: gr.Request, label: Any, key: str | None, last: Any) -> list[Any]:
        asker, address = who(request), dict(request.query_params)
        found = updates(asker, address, tab_names)
        if not is_named(address, NAMES):  # what was used last is filled in, and nobody is told of what has gone since
            found |= _controls(settings(asker, remembered(last))[0])
        return answer(found, label, _result(asker, address, key, False))

    def read_again(request: gr.Request, label: Any, key: str | None, event: gr.EventData) -> list[Any]:
        asker, address = who(request), dict(request.query_params)
        opens = isinstance(event._data, dict) and event._data.get("open") is True
        found = {"card": gr.update(visible=False), **updates(asker, {**_opening(address), **address}, tab_names)}
        return answer(found, label, _result(asker, address, key, opens))

    back = gr.HTML(js_on_load="studio.listen(trigger)", elem_id="address")
    opened = "(...values) => studio.opened(values)"
    memory = [last_used, *(other.last_used for other in others if other.last_used)]
    loading = demo.load(None, None, memory, js=f"() => studio.begin({json.dumps(_facts())})", **PRIVATE)
    loading = loading.then(read, [*inputs, last_used], outputs, **QUICK)
    for reading in (loading, back.click(read_again, inputs, outputs, **QUICK)):
        last = reading
        for other in others:
            restore = other.restore if reading is loading else other.again or other.restore
            last = last.then(restore, list(other.inputs), list(other.outputs), **QUICK)
            if other.js:
                last = last.then(None, list(other.followed), None, js=other.js, **PRIVATE)
        last.then(None, fields, None, js=opened, **PRIVATE)
    for field in fields:
        field.change(None, fields, None, js="(...values) => studio.changed(values)", **PRIVATE)  # type: ignore[attr-defined]
    outcome.compare.click(None, fields, None, js="(...values) => studio.compared(values)", **PRIVATE)
    for tab in tabs.children:
        tab.select(None, None, None, js="() => studio.moved()", **PRIVATE)  # type: ignore[attr-defined]


def _facts() -> dict[str, Any]:
    """What the browser's half cannot know: scorers that take sentences, the Hub's address and this Space's id."""
    words = [spec.name for spec in rewards.REWARDS.values() if spec.argument]
    return {"words": words, "own": OWN, "hub": constants.ENDPOINT, "space": os.environ.get("SPACE_ID")}


def _opening(address: Mapping[str, str]) -> dict[str, str]:
    """What the page opens with, but for what follows from a value that the address names."""
    first = first_choice.choose().pair
    settings = resolve(ComparisonSettings())
    opening = {"tab": "compare", "pair": first, "scheduler": settings.scheduler.name, "eta": "0"}
    opening |= {"samples": str(settings.samples), "seed": str(settings.seed)}
    if not address.get("scheduler"):
        opening["steps"] = str(settings.steps)
    return opening


def _result(asker: Asker, address: Mapping[str, str], key: str | None, opens: bool) -> list[Any]:
    """The comparison that an address names, where it is at hand.

    Args:
        asker: who opened it.
        address: its parameters.
        key: of the comparison that is shown.
        opens: a thumbnail was pressed, so that nothing else may stay.
    """
    unchanged = [gr.skip()] * len(Results.__dataclass_fields__)
    if not is_named(address, NAMES):
        return unchanged if key == results.SAVED else results.shown(results.SAVED)
    found = results.same(resolve(make_settings(asker, **settings(asker, address)[0])))
    if found:
        return unchanged if found == key else results.shown(found)
    # What was drawn here before stays, as it does when a field is changed by hand.
    return results.shown(None, nothing=views.LINKED) if opens or key in (None, results.SAVED) else unchanged


def updates(asker: Asker, address: Mapping[str, str], tab_names: list[str]) -> dict[str, Any]:
    """What changes on the page, by the names of its controls, `tab` and `card`.

    Args:
        asker: who opened it.
        address: the parameters of the address; those that mean nothing here are left alone.
        tab_names: ids of the tabs.
    """
    values, problems = settings(asker, address)
    found = _controls(values)
    tab = address.get("tab", "").lower()
    if tab in tab_names:
        found["tab"] = gr.Tabs(selected=tab)
    elif tab:
        problems.append(f"There is no tab called {tab[:LONGEST]!r} here; choose one of: {', '.join(tab_names)}.")
    if problems:
        found["card"] = gr.update(value=html.message(TROUBLE, " ".join(problems)), visible=True)
    return found


def settings(asker: Asker, address: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Fields of ComparisonSettings that an address names, and a sentence for each that cannot be used."""

    def values_of(name: str, text: str) -> dict[str, Any]:
        return {name: number(text) if name in NUMBERS else text}

    return read_groups(GROUPS, address, values_of, lambda values: make_settings(asker, **values))


def _controls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Updates of the controls of a comparison, with what follows from a value as if a hand had chosen it."""
    found: dict[str, Any] = {name: values[name] for name in NUMBERS if name in values}
    if "pair" in values:
        found["pair"] = {**pair_choices(values["pair"]), "value": values["pair"]}
        own = gr.update(visible=values["pair"] == OWN)
        found.update({name: {**own, "value": values.get(name, "")} for name in ("base", "tuned")})
    if "scheduler" in values:
        spec = schedulers.get_scheduler(values["scheduler"])
        found["scheduler"] = spec.name
        found["steps"] = gr.update(value=values.get("steps", spec.default_steps), minimum=spec.min_steps)
        found["eta"] = gr.update(visible=spec.takes_eta, value=values.get("eta", 0))
    scorer = values.get("scorer") or (first_choice.scorer(values["pair"]) if "pair" in values else None)
    if scorer:
        found.update(zip(("scorer", "like", "unlike"), scorer_fields.filled(scorer), strict=True))
    return found

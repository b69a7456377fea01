"""What the page's address asks for: a tab, and the fields of a comparison.

A Space's page hands its own address on to the frame in which the app is, when it loads; so the same links work there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ddpo import rewards
from ddpo.comparison import first_choice
from ddpo.diffusion import schedulers
from ddpo.errors import UserError
from ddpo.runs.pairs import OWN
from ddpo.ui.compare.run import make_settings
from ddpo.ui.compare.tab import pair_choices
from ddpo.ui.shared import html
from ddpo.ui.shared.events import QUICK
from ddpo.ui.space.asker import Asker, who

# Read in this order, since what is right for one depends on those before it.
GROUPS = (("pair", "base", "tuned"), ("scheduler",), ("steps",), ("eta",), ("samples",), ("seed",), ("scorer",))
NAMES = tuple(name for group in GROUPS for name in group)
NUMBERS = ("steps", "eta", "samples", "seed")
LONGEST = 500  # characters of a value; what is longer was not meant
TROUBLE = "Not everything in the address could be used"


def connect(demo: gr.Blocks, tabs: gr.Tabs, tab_names: list[str], controls: dict[str, gr.Component], card: Any) -> None:
    """Read the address when the page loads.

    Args:
        demo: the page.
        tabs: its tabs.
        tab_names: their ids.
        controls: of a comparison, by name.
        card: says what could not be used.
    """

    def read(request: gr.Request) -> list[Any]:
        found = updates(who(request), dict(request.query_params), tab_names)
        return [found.get(name, gr.skip()) for name in ("tab", "card", *controls)]

    demo.load(read, None, [tabs, card, *controls.values()], **QUICK)


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
    values: dict[str, Any] = {}
    problems: list[str] = []
    for group in GROUPS:
        texts = {name: address[name] for name in group if address.get(name)}
        given = {name: _number(text) if name in NUMBERS else text for name, text in texts.items()}
        try:
            if any(len(text) > LONGEST for text in texts.values()):
                raise UserError(f"{' and '.join(given)} must not be longer than {LONGEST} characters.")
            if {"base", "tuned"} & given.keys() and given.get("pair") != OWN:
                raise UserError(f"base and tuned are read with pair={OWN} only.")
            make_settings(asker, **values, **given)
            if obstacle := rewards.get(given["scorer"]).obstacle() if "scorer" in given else None:
                raise UserError(obstacle)
        except UserError as error:
            problems.append(str(error))
        else:
            values.update(given)
    return values, problems


def _number(text: str) -> Any:
    """The number that a text spells; the text itself where it spells none, for a check to refuse."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _controls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Updates of the controls of a comparison, with what follows from a value as if a hand had chosen it."""
    found: dict[str, Any] = {name: values[name] for name in NUMBERS if name in values}
    if "pair" in values:
        found["pair"] = {**pair_choices(), "value": values["pair"]}
        own = gr.update(visible=values["pair"] == OWN)
        found.update({name: {**own, "value": values.get(name, "")} for name in ("base", "tuned")})
    if "scheduler" in values:
        spec = schedulers.get_scheduler(values["scheduler"])
        found["scheduler"] = spec.name
        found["steps"] = gr.update(value=values.get("steps", spec.default_steps), minimum=spec.min_steps)
        found["eta"] = gr.update(visible=spec.takes_eta, value=values.get("eta", 0))
    scorer = values.get("scorer") or (first_choice.scorer(values["pair"]) if "pair" in values else None)
    if scorer:
        name, _, argument = scorer.partition(":")
        like, _, unlike = argument.partition("|")
        words = gr.update(visible=bool(argument))
        found.update(scorer=name, like={**words, "value": like}, unlike={**words, "value": unlike})
    return found

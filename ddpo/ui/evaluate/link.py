"""What the address asks of the Evaluate tab, and how it follows the tab: an evaluation's settings are its link.

Its parameters begin with PREFIX, beside those of a comparison. The browser's half is `page.js`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import gradio as gr

from ddpo.runs.pairs import OWN
from ddpo.ui.evaluate import form as evaluate_form
from ddpo.ui.evaluate.form import FIELDS, Form
from ddpo.ui.shared import scorer_fields
from ddpo.ui.shared.linked import number, read_groups
from ddpo.ui.space.asker import Asker

PREFIX = "eval-"
# Read in this order; the names are those of FIELDS, but that a scorer has its sentences behind its name.
GROUPS = (
    ("pair", "base", "tuned"), ("others",), ("schedulers", "steps"), ("seeds",), ("seed",), ("eta",), ("scorer",),
    ("also",),
)  # fmt: skip
NAMES = tuple(PREFIX + name for group in GROUPS for name in group)
LISTS = ("others", "schedulers", "also")  # with commas between; a comma within an entry is written as %2C
NUMBERS = ("seeds", "seed", "eta")


def settings(asker: Asker, address: Mapping[str, str], opening: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Values of the fields that an address names, and a sentence for each that cannot be used.

    Args:
        asker: who opened it.
        address: its parameters.
        opening: values of all fields with which the page opens.
    """

    def check(values: dict[str, Any]) -> None:
        whole = {**opening, **values}
        evaluate_form.read(asker, [whole[name] for name in FIELDS])

    return read_groups(GROUPS, address, _values, check, PREFIX)


def _values(name: str, text: str) -> dict[str, Any]:
    """The values of fields that a parameter spells."""
    if name in LISTS:
        return {name: [unquote(part) for part in text.split(",")]}
    if name in NUMBERS:
        return {name: number(text)}
    if name == "scorer":
        return dict(zip(("scorer", "like", "unlike"), scorer_fields.parts(text), strict=True))
    return {name: text}


def updates(form: Form, found: Mapping[str, Any]) -> list[Any]:
    """Updates of all fields, in their order: those that are named, and the rest as the page opens with them."""
    values = {**opening(form), **found}
    full = scorer_fields.full_name(values["scorer"], values["like"], values["unlike"])
    changed = {name: gr.update(value=values[name]) for name in FIELDS}
    changed["pair"]["choices"], changed["others"]["choices"] = evaluate_form.pairs(), evaluate_form.other_models()
    for name in ("base", "tuned"):
        changed[name]["visible"] = values["pair"] == OWN
    changed.update(zip(("scorer", "like", "unlike"), scorer_fields.filled(full), strict=True))
    return [changed[name] for name in FIELDS]


def opening(form: Form) -> dict[str, Any]:
    """The values with which the page opens."""
    return {name: getattr(form, name).value for name in FIELDS}

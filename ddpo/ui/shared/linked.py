"""What tabs share that follow the page's address: what one restores, and how its parameters are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from ddpo import rewards
from ddpo.errors import UserError
from ddpo.runs.pairs import OWN

LONGEST = 500  # characters of a value; what is longer was not meant
MOST_REMEMBERED = 4000  # characters of the settings that a browser remembers
TROUBLE = "Not everything in the address could be used"


@dataclass(frozen=True)
class Linked:
    """What of another tab an address restores."""

    restore: Callable[..., Any]  # of the request and the values of `inputs`, when the page loads
    inputs: Sequence[gr.components.Component]
    outputs: Sequence[gr.components.Component]
    again: Callable[..., Any] | None = None  # the same when the visitor goes back; None: `restore`
    followed: Sequence[gr.components.Component] = ()  # fields that the address follows
    js: str | None = None  # told the values of `followed` once these are as the address has them
    last_used: gr.Textbox | None = None  # see `remembering`; among `inputs`


def remembering() -> gr.Textbox:
    """Hidden: the settings that this browser used last, as the parameters of an address; "" before it used any.

    Filled by `page.js` when the page loads. Gradio's BrowserState would take the page down in a frame that is denied
    storage, which a Space is where a browser blocks cookies of third parties.
    """
    return gr.Textbox(visible="hidden", label="Settings used last")


def remembered(value: Any) -> dict[str, str]:
    """The parameters that a browser remembers; none where it holds something else."""
    return dict(parse_qsl(value)) if isinstance(value, str) and len(value) <= MOST_REMEMBERED else {}


def number(text: str) -> Any:
    """The number that a text spells; the text itself where it spells none, for a check to refuse."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def is_named(address: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether an address names any of some parameters."""
    return any(address.get(name) for name in names)


def read_groups(
    groups: Sequence[Sequence[str]],
    address: Mapping[str, str],
    values_of: Callable[[str, str], Mapping[str, Any]],
    check: Callable[[dict[str, Any]], object],
    prefix: str = "",
) -> tuple[dict[str, Any], list[str]]:
    """Values of fields that an address names, and a sentence for each group of them that cannot be used.

    Args:
        groups: names of the parameters that are read together; what is right for one depends on the groups before it.
        address: its parameters.
        values_of: the values of fields that a parameter's name and text spell.
        check: raises UserError for values, those of the groups before among them, that cannot be used.
        prefix: what the parameters' names begin with in the address.
    """
    found: dict[str, Any] = {}
    problems: list[str] = []
    for group in groups:
        texts = {name: address[prefix + name] for name in group if address.get(prefix + name)}
        try:
            if any(len(text) > LONGEST for text in texts.values()):
                names = " and ".join(prefix + name for name in texts)
                raise UserError(f"{names} must not be longer than {LONGEST} characters.")
            if {"base", "tuned"} & texts.keys() and texts.get("pair") != OWN:
                raise UserError(f"{prefix}base and {prefix}tuned are read with {prefix}pair={OWN} only.")
            given = {key: value for name, text in texts.items() for key, value in values_of(name, text).items()}
            if given:
                check({**found, **given})
            if obstacle := rewards.get(texts["scorer"]).obstacle() if "scorer" in texts else None:
                raise UserError(obstacle)
        except UserError as error:
            problems.append(str(error))
        else:
            found.update(given)
    return found, problems

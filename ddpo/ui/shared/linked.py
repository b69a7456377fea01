"""What tabs share that follow the page's address: what one restores, and how its parameters are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

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

"""The sentences of a scorer that needs some: two fields that show where such a scorer is picked."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from ddpo import rewards
from ddpo.errors import UserError
from ddpo.ui.shared.events import QUICK
from ddpo.ui.shared.inputs import OpenDropdown

LIKE = "A sentence"  # label of the first field


def build(elem_id: str, chosen: str = "photographic") -> tuple[OpenDropdown, gr.Textbox, gr.Textbox]:
    """A list of scorers, the sentence to be like, and the one to be unlike; the latter two hidden until needed."""
    scorer = OpenDropdown(rewards.choices(with_words=True), value=chosen, label="Scorer", elem_id=f"{elem_id}-scorer")
    missing = not_offered()
    if missing:
        gr.HTML(missing, elem_id=f"{elem_id}-missing")
    return scorer, *fields(scorer, elem_id)


def fields(scorer: OpenDropdown, elem_id: str) -> tuple[gr.Textbox, gr.Textbox]:
    """The two sentences of a list of scorers."""
    like = gr.Textbox(label=LIKE, placeholder="a sunny day", visible=False, elem_id=f"{elem_id}-like")
    unlike = gr.Textbox(
        label="Rather than (may be empty)", placeholder="a grey day", visible=False, elem_id=f"{elem_id}-unlike"
    )
    scorer.change(_on_scorer, scorer, [like, unlike], **QUICK)
    return like, unlike


def full_name(scorer: Any, like: Any, unlike: Any) -> Any:
    """The scorer's name with the sentences behind it, where it takes some; anything else as it came.

    A bar separates two sentences, so one within a sentence ends it.

    Raises:
        UserError: it takes some, and there is none.
    """
    if not _takes_words(scorer):
        return scorer
    if not isinstance(like, str) or not like.strip():
        raise UserError(f"{rewards.REWARDS[scorer].title} needs a sentence; write one into the field “{LIKE}”.")
    return f"{scorer}:{like}" + (f"|{unlike}" if unlike else "")


def parts(full: str) -> tuple[str, str, str]:
    """The scorer's name and its two sentences, "" each where it has none: what `full_name` put together."""
    name, _, argument = full.partition(":")
    like, _, unlike = argument.partition("|")
    return name, like, unlike


def filled(full: str) -> tuple[Any, Any, Any]:
    """Updates of the list and its two sentences, by a scorer's name with the sentences behind it."""
    name, like, unlike = parts(full)
    words = gr.update(visible=bool(like or unlike))
    return name, {**words, "value": like}, {**words, "value": unlike}


def not_offered() -> str:
    """Which scorers the list lacks and why, folded up; "" where it lacks none."""
    lines = [f"<li>{escape(obstacle)}</li>" for obstacle in rewards.obstacles()]
    if not lines:
        return ""
    count = f"{len(lines)} scorers are" if len(lines) > 1 else "One scorer is"
    return f'<details class="hint"><summary>{count} not offered here</summary><ul>{"".join(lines)}</ul></details>'


def _on_scorer(name: Any) -> tuple[Any, Any]:
    shown = gr.update(visible=_takes_words(name))
    return shown, shown


def _takes_words(name: Any) -> bool:
    return isinstance(name, str) and name in rewards.REWARDS and bool(rewards.REWARDS[name].argument)

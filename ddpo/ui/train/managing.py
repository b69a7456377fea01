"""What keeps the runs in order on the page: a name, a note, and the question before one is deleted."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from ddpo.ui.shared.events import PRIVATE, QUICK
from ddpo.ui.train import actions
from ddpo.ui.train.live import Shown

QUESTION = (
    '<div role="alertdialog" aria-label="Delete a run"><h2>Delete this run?</h2><p>{title} ({id}) goes with its '
    "checkpoints, its pictures and its result. It cannot be had back.</p></div>"
)
FOCUS = "() => setTimeout(() => document.querySelector('#keep-run-button')?.focus(), 300)"
HIDDEN = gr.update(visible=False)


@dataclass(frozen=True)
class Question:
    """The question before a run is deleted."""

    box: gr.Column
    text: gr.HTML
    yes: gr.Button
    no: gr.Button
    doomed: gr.State  # id of the run that is asked about


def build_question() -> Question:
    """Lay the question out, hidden."""
    with gr.Column(visible=False, elem_id="delete-question") as box:
        text = gr.HTML()
        with gr.Row():
            no = gr.Button("Keep it", size="md", min_width=110, elem_id="keep-run-button")
            yes = gr.Button("Delete it", variant="stop", size="md", min_width=110, elem_id="delete-run-button")
    return Question(box, text, yes, no, gr.State(None))


def build_label() -> tuple[gr.Textbox, gr.Textbox, gr.Button]:
    """The fields for a name and a note."""
    name = gr.Textbox(label="Name", max_length=80, elem_id="run-name")
    note = gr.Textbox(label="Note", lines=2, max_length=2000, elem_id="run-note")
    return name, note, gr.Button("Save name and note", size="md", elem_id="save-label-button")


def connect_question(question: Question, ask: gr.Button, shown: gr.State) -> None:
    """Have the button of a run ask, and "no" take the question away."""
    outputs = [question.box, question.text, question.doomed]
    asked = ask.click(_on_ask, shown, outputs, **QUICK)
    asked.then(None, None, None, js=FOCUS, **PRIVATE)
    question.no.click(lambda: HIDDEN, None, question.box, **QUICK)


def _on_ask(shown: Shown) -> tuple[Any, str, str | None]:
    run = actions.find(shown.run_id)
    if run is None:
        return HIDDEN, "", None
    title = actions.title_of(actions.look_at(run))
    return gr.update(visible=True), QUESTION.format(title=escape(title), id=escape(run.id)), run.id

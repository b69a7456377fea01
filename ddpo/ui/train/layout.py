"""What the right side of the Train tab consists of."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ddpo.ui.shared.inputs import OpenDropdown, OpenSlider
from ddpo.ui.train import managing, push, run_list, views
from ddpo.ui.train.live import Live


def build_live(start: gr.Button) -> tuple[Live, push.PushForm, managing.Question, gr.Button]:
    """The right side: all runs, and the one that is shown."""
    made: dict[str, Any] = {"start": start}
    with gr.Column(elem_id="runs-card"):
        gr.HTML(run_list.FILTER, elem_id="run-filter", js_on_load="studio.runFilter(element)")
        made["runs"] = gr.HTML(elem_id="all-runs", js_on_load="studio.runList(element, trigger)")
    made["together"] = gr.HTML(elem_id="runs-together", js_on_load="studio.overlay(element)")
    dates = "studio.whenever(element, () => studio.local(element))"
    made["status"] = gr.HTML(views.EMPTY, elem_id="run-status", js_on_load=dates)
    made.update(_build_buttons())
    question = managing.build_question()
    made["diagnosis"] = gr.HTML(elem_id="diagnosis")
    made["charts"] = gr.HTML(elem_id="charts", js_on_load="studio.charts(element)")
    made["pictures"] = gr.HTML(elem_id="run-pictures")
    made["epoch"] = OpenSlider(0, 1, 0, step=1, label="Epoch", visible=False, buttons=[], elem_id="epoch-slider")
    made["animation"] = gr.HTML(elem_id="animation")
    with gr.Accordion("Settings of this run", open=False, visible=False, elem_id="run-told") as made["told"]:
        made["settings"] = gr.HTML(elem_id="run-settings")
    with gr.Accordion("Name and note", open=False, visible=False, elem_id="run-label") as made["labelling"]:
        made["name"], made["note"], save = managing.build_label()
    with gr.Accordion("Push to the Hub", open=False, visible=False, elem_id="push") as made["pushing"]:
        push_form = push.build()
    return Live(**made), push_form, question, save


def _build_buttons() -> dict[str, Any]:
    """What can be done with a run, by the names in Live."""
    titles = {"stop": "Stop", "resume": "Resume", "compare": "Compare with base"}
    more = {"download": "Download result", "use": "Use these settings", "delete": "Delete"}
    variants = {"stop": "stop", "resume": "primary"}
    ids = {"compare": "compare-run-button", "download": "download-run-button"}

    def button(name: str, title: str) -> gr.Button:
        variant: Any = variants.get(name, "secondary")
        elem_id = ids.get(name, f"{name}-button")
        return gr.Button(title, variant=variant, size="md", min_width=90, visible=False, elem_id=elem_id)

    with gr.Row(elem_id="run-actions"):
        made: dict[str, Any] = {name: button(name, title) for name, title in titles.items()}
        made["weights"] = OpenDropdown(
            [], label="Weights", show_label=False, visible=False, min_width=170, scale=0, elem_id="run-weights"
        )
        made.update({name: button(name, title) for name, title in more.items()})
    return made

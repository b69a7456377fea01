"""What the page keeps of a visit."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState

from ddpo.ui.space.guarded import GuardedBlocks


def test_a_visit_does_not_grow_with_what_it_is_shown() -> None:
    with GuardedBlocks() as demo:
        shown, button = gr.HTML(), gr.Button()
        button.click(lambda: "", None, shown)
    event, visit = next(iter(demo.fns.values())), SessionState(demo)

    def show(value: Any) -> None:
        asyncio.run(demo.postprocess_data(event, value, visit))

    show("first")
    size = len(visit.blocks_config.blocks)
    for number in range(5):
        show(gr.update(visible=True))
        show(f"picture {number}")
        show(gr.update(value=f"picture {number}"))
    assert len(visit.blocks_config.blocks) == size and not visit.config_values

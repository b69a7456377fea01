"""What an event leaves as it is: told as Gradio tells it, and without a new component of each."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import gradio as gr
import pytest
from gradio.context import Context
from gradio.state_holder import SessionState

from ddpo.ui.shared.unchanged import FrugalBlocks


def answers(kind: type[gr.Blocks], values: Any) -> tuple[list[Any], int]:
    """What an event with four outputs answers, and how many components were made for that."""
    with kind() as demo:
        outputs = [gr.HTML("a"), gr.Button("b"), gr.State(3), gr.Slider(0, 10, 4)]
        demo.load(lambda: None, None, outputs)
    event = next(iter(demo.fns.values()))
    before = Context.id
    found = asyncio.run(demo.postprocess_data(event, deepcopy(values), SessionState(demo)))
    if isinstance(found[0], dict):
        found[0].pop("props", None)  # Gradio takes the mark of an update for a property of HTML
    return found, Context.id - before


SKIP = gr.skip()


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ([SKIP, SKIP, SKIP, SKIP], 0),
        (["<b>new</b>", SKIP, 5, SKIP], 0),
        ([SKIP, gr.update(interactive=False), SKIP, SKIP], 1),
        ([SKIP, SKIP, SKIP, gr.update(value=7, maximum=8)], 1),
        (("x", gr.update(visible=False), SKIP, 6), 1),
        (["x", "y", 1, 2], 0),
        (SKIP, 0),
    ],
)
def test_the_answer_is_gradios_and_what_is_skipped_is_not_made_anew(values: Any, made: int) -> None:
    expected, _ = answers(gr.Blocks, values)
    assert answers(FrugalBlocks, values) == (expected, made)


def test_too_few_values_are_still_told() -> None:
    with pytest.raises(ValueError, match="didn't return enough output values"):
        answers(FrugalBlocks, [SKIP, SKIP])

"""Components that an event leaves as they are, at no cost.

Gradio makes a new component of every output that an event skips, only to find that nothing about it has changed. A page
that looks at a run skips most of twelve, every 1.5 s.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction
    from gradio.state_holder import SessionState


class FrugalBlocks(gr.Blocks):
    """Blocks that do nothing for the outputs that an event skips."""

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: list[Any] | dict[Any, Any], state: SessionState | None
    ) -> list[Any]:
        """As Gradio does it for the outputs that change; the others get what says that they do not."""
        outputs = block_fn.outputs
        if predictions == gr.skip():  # of all
            predictions = [predictions] * len(outputs)
        several = isinstance(predictions, list | tuple) and len(predictions) == len(outputs) > 1
        if not several or block_fn.batch or block_fn.is_validator_function:
            return await super().postprocess_data(block_fn, predictions, state)
        changed = [place for place, value in enumerate(predictions) if not is_skipped(value)]
        answers: list[Any] = [None if output.stateful else gr.skip() for output in outputs]
        if changed:
            smaller = copy(block_fn)
            smaller.outputs = [outputs[place] for place in changed]
            values = [predictions[place] for place in changed]
            found = await super().postprocess_data(smaller, values if len(values) > 1 else values[0], state)
            for place, answer in zip(changed, found, strict=True):
                answers[place] = answer
        return answers


def is_skipped(value: Any) -> bool:
    """Whether a handler's value for an output says that nothing about it changes."""
    return isinstance(value, dict) and value == gr.skip()

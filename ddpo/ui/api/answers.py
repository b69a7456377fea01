"""Components without a place on the page that say in the schema of the API what a program sends and gets.

Gradio writes a .pyi next to any file that defines components, from what stands above the first of them; so this file
holds nothing else. What Gradio's page needs of a component it finds by the arguments of `__init__`, so these have none
of their own.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components.api_component import Api


class Parameter(Api):
    """A typed value, with an example that can be sent as it is."""

    is_template = True

    example: Any

    def example_payload(self) -> Any:
        """What stands in the schema as `example_input`."""
        return self.example

    def example_value(self) -> Any:
        """The same, as Gradio asks for both."""
        return self.example


class Answer(gr.JSON):
    """JSON that is described."""

    is_template = True

    schema: dict[str, Any]

    def api_info(self) -> dict[str, Any]:
        """What it holds, as JSON Schema."""
        return self.schema


class Pictures(gr.File):
    """Files of which is said what they show."""

    is_template = True

    description: str

    def api_info(self) -> dict[str, Any]:
        """As Gradio has it, with the description."""
        return {**super().api_info(), "description": self.description}

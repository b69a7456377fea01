"""What an endpoint takes and returns, as components: see `answers` for why those have no arguments of their own."""

from __future__ import annotations

from typing import Any

from ddpo.ui.api.answers import Answer, Parameter, Pictures


def parameter(value: Any, schema: dict[str, Any], label: str, example: Any = None) -> Parameter:
    """A parameter; without an example, its default is one."""
    made = Parameter(value, schema, label)
    made.example = value if example is None else example
    return made


def answer(schema: dict[str, Any]) -> Answer:
    """What an endpoint returns, by its JSON Schema."""
    made = Answer(label="result", visible=False)
    made.schema = schema
    return made


def pictures(label: str, description: str) -> Pictures:
    """Pictures that an endpoint returns."""
    made = Pictures(label=label, file_count="multiple", visible=False)
    made.description = description
    return made

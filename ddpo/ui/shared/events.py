"""How events are connected: what the page keeps to itself, and what waits in a queue."""

from __future__ import annotations

import json
from typing import Any

from ddpo.ui.shared import places

# The page and the endpoint wait in the same queue, for the places in which the work is done.
COMPARES: dict[str, Any] = {"concurrency_limit": places.COMPARING.count, "concurrency_id": "compare"}
# Beside comparisons, which have a turn in the one place between two parts of an evaluation.
EVALUATES: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "evaluate"}
SCORES: dict[str, Any] = {"concurrency_limit": places.SCORING.count, "concurrency_id": "score"}
PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # of the page's own events, which programs have no use for
# Of nothing that it fills: Gradio counts the seconds of each such component in every frame, also where it hides them.
UNTIMED: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": []}
QUICK: dict[str, Any] = {**PRIVATE, **UNTIMED, "queue": False}

CANCELLING = "Cancelling…"  # what a button says between a press of Cancel and the end


def cancelling(button: str) -> str:
    """JavaScript for a press of Cancel: what a button shows that said `button` while its work was done."""
    return f"(label) => label === {json.dumps(button)} ? {json.dumps(CANCELLING)} : label"

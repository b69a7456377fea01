"""How events are connected: what the page keeps to itself, and what waits in a queue."""

from __future__ import annotations

from typing import Any

# The page and the endpoint wait in the same queue, and one comparison computes at a time.
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "compare"}
PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # of the page's own events, which programs have no use for
QUICK: dict[str, Any] = {**PRIVATE, "queue": False, "show_progress": "hidden"}

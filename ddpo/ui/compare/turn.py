"""What a comparison that waits is told: how many come before it, and how long those take."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.context import LocalContext

from ddpo.common.words import duration
from ddpo.comparison.events import Progress
from ddpo.ui.compare import views
from ddpo.ui.compare.results import COMPARING, Results
from ddpo.ui.shared.events import COMPARES, QUICK
from ddpo.ui.space.turns import FairQueue, Place

INTERVAL = 1.0  # seconds between two looks at the queue
WAITING = "Waiting for"  # begins what is said of a comparison of which nothing was drawn yet
NOT_BEGUN = "It was waiting for its turn, so nothing of it was drawn."
STOPPED = "The computation was stopped between two steps."


def connect(outcome: Results) -> None:
    """Look at the queue while a comparison waits."""
    timer = gr.Timer(INTERVAL, active=False)
    outcome.compare.click(lambda: gr.Timer(active=True), None, timer, **QUICK)
    timer.tick(_on_wait, outcome.compare, [outcome.status, timer], **QUICK)


def _on_wait(request: gr.Request, label: Any) -> tuple[Any, Any]:
    """The place of this page's comparison; the timer rests once nothing of it waits."""
    queue = getattr(LocalContext.blocks.get(None), "_queue", None)
    if label != COMPARING or not isinstance(queue, FairQueue):
        return gr.skip(), gr.Timer(active=False)
    place = queue.place(str(COMPARES["concurrency_id"]), str(request.session_hash))
    return (gr.skip() if place is None else waiting_card(place)), gr.skip()


def waiting_card(place: Place) -> str:
    """How many come before, and how long those take."""
    if place.before == 0:
        return views.progress_card(Progress(f"{WAITING} a turn", 0, 0))
    many = "one comparison" if place.before == 1 else f"{place.before} comparisons"
    needs = "needs" if place.before == 1 else "need"
    takes = f"{needs} {duration(place.seconds)}" if place.seconds is not None else f"{needs} a time not known yet"
    return views.progress_card(Progress(f"{WAITING} {many} before this one, which {takes}", 0, 0))


def cancelled(status: Any) -> str:
    """What is said of a comparison that was cancelled, by the card that was there."""
    return NOT_BEGUN if isinstance(status, str) and f"<b>{WAITING} " in status else STOPPED

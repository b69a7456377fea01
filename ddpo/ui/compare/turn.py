"""What a comparison or an evaluation that waits is told: how many come before it, and how long those take."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.context import LocalContext

from ddpo.common.words import duration
from ddpo.comparison.events import Progress
from ddpo.ui.compare import views
from ddpo.ui.shared.events import QUICK
from ddpo.ui.space.turns import FairQueue, Place

INTERVAL = 1.0  # seconds between two looks at the queue
WAITING = "Waiting for"  # begins what is said of a comparison of which nothing was drawn yet
NOT_BEGUN = "It was waiting for its turn, so nothing of it was drawn."
STOPPED = "The computation was stopped between two steps."


def connect(button: gr.Button, status: gr.HTML, label: str, kind: str, one: str) -> None:
    """Look at the queue while something waits.

    Args:
        button: begins it.
        status: shows where it stands.
        label: what the button says while it waits or is done.
        kind: of the queue, its concurrency id.
        one: what waits, as a word.
    """
    timer = gr.Timer(INTERVAL, active=False)

    def on_wait(request: gr.Request, said: Any) -> tuple[Any, Any]:
        """The place of what waits for this page; the timer rests once it has begun, or is gone."""
        queue, session = getattr(LocalContext.blocks.get(None), "_queue", None), str(request.session_hash)
        if said != label or not isinstance(queue, FairQueue) or queue.is_computing(kind, session):
            return gr.skip(), gr.Timer(active=False)
        place = queue.place(kind, session)
        return (gr.skip() if place is None else waiting_card(place, one)), gr.skip()

    button.click(lambda: gr.Timer(active=True), None, timer, **QUICK)
    timer.tick(on_wait, button, [status, timer], **QUICK)


def waiting_card(place: Place, one: str = "comparison") -> str:
    """How many come before, and how long those take."""
    if place.before == 0:
        return views.progress_card(Progress(f"{WAITING} a turn", 0, 0))
    many = f"one {one}" if place.before == 1 else f"{place.before} {one}s"
    needs = "needs" if place.before == 1 else "need"
    takes = f"{needs} {duration(place.seconds)}" if place.seconds is not None else f"{needs} a time not known yet"
    return views.progress_card(Progress(f"{WAITING} {many} before this one, which {takes}", 0, 0))


def cancelled(status: Any) -> str:
    """What is said of a comparison that was cancelled, by the card that was there."""
    return NOT_BEGUN if isinstance(status, str) and f"<b>{WAITING} " in status else STOPPED

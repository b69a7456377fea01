"""The queue of the page's work: bounded, fair between visitors, and for those only who wait for the answer.

Gradio's own takes any number of jobs in the order of arrival, and computes what nobody listens for. This one

- refuses at once, with a sentence, what is beyond its size or beyond a visitor's share of it;
- gives every visitor a turn: whoever was served longest ago comes first, and the sessions of a visitor take turns too;
- drops what nobody has listened for during a while, waiting or running.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gradio.queueing import Event, EventQueue, Queue
from gradio.route_utils import get_fn
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import run_coro_in_background

from ddpo.errors import UserError
from ddpo.ui.space import asker, permission
from ddpo.ui.space.asker import Asker
from ddpo.ui.space.listeners import CALL_HEADER, Listeners

logger = logging.getLogger("ddpo.ui")

SIZE = 64  # jobs of a kind that wait at most, unless DDPO_QUEUE tells otherwise
VISITORS = 8  # that have their share of the queue, each of the same size
GRACE = 120.0  # seconds that a job goes on without anybody who listens; a program with curl asks in two steps
SERVED_KEPT = 10_000  # visitors of whom is remembered when they were served
UNHEARD = (
    "Nobody was listening for this job any more, so it was dropped; ask again, and keep the stream of events open."
)

Pushed = tuple[bool, str | list[dict[str, Any]], Literal["success", "error", "queue_full", "validator_error"]]


def size() -> int:
    """Jobs of a kind that may wait, from DDPO_QUEUE; SIZE where that is not set or no whole number of at least 1."""
    try:
        number = permission.number_from("DDPO_QUEUE", "a number of jobs of at least 1")
    except UserError as error:
        logger.warning("%s The queue holds %d.", error, SIZE)
        return SIZE
    return SIZE if number is None else max(1, int(number))


def in_turns(events: Iterable[Event], whose: Callable[[Event], Hashable], served: Mapping[Any, int]) -> list[Event]:
    """Events in rounds, each with one event of everybody; in a round, whoever was served longest ago comes first.

    Args:
        events: in the order in which each one's own are to come.
        whose: who an event belongs to.
        served: a number for those who were served, the larger the later.
    """
    rounds: Counter[Hashable] = Counter()
    places = []
    for place, event in enumerate(events):
        owner = whose(event)
        places.append((rounds[owner], served.get(owner, 0), place, event))
        rounds[owner] += 1
    return [event for *_, event in sorted(places, key=lambda found: found[:3])]


@dataclass(frozen=True)
class Place:
    """Where a job that waits stands."""

    before: int  # jobs that come first, those that are computed included
    seconds: float | None  # that those need, by what earlier ones took; None: none has been done yet


class FairQueue(Queue):
    """Gradio's queue, with the above. The app's event loop alone calls it."""

    def __init__(self, listeners: Listeners, **settings: Any) -> None:
        super().__init__(**settings)
        self.listeners = listeners
        self.size = size()
        self.share = max(1, self.size // VISITORS)
        self.turn = 0
        self.served: dict[Hashable, int] = {}

    async def push(self, body: Any, request: Any, username: str | None) -> Pushed:
        """Take a job, or say why not."""
        sentence = self._refusal(body, request) if body.fn_index is not None else None
        if sentence is not None:
            return False, sentence, "queue_full"
        taken: Pushed = await super().push(body, request, username)
        if (event := self.event_ids_to_events.get(str(taken[1]))) is not None:
            queue = self.event_queue_per_concurrency_id[event.concurrency_id]
            self._arrange(queue)
            self.broadcast_estimations(queue.concurrency_id)
        return taken

    def _refusal(self, body: Any, request: Any) -> str | None:
        kind = get_fn(self.blocks, None, body).concurrency_id
        queue = self.event_queue_per_concurrency_id.get(kind)
        if queue is None:
            return None
        waiting, by = len(queue.queue), asker.visitor(request)
        if waiting >= self.size:
            return f"The queue is full: {waiting} jobs wait already. Try again when some of them are done."
        own = sum(_visitor(event) == by for event in queue.queue)
        is_operator = asker.who(request) is Asker.OPERATOR  # leaves a share free for everybody else
        allowed = max(1, self.size - self.share) if is_operator else self.share
        if own >= allowed:
            return f"{own} of your jobs wait already, and no more may; ask again when one of them is done."
        return None

    def _arrange(self, queue: EventQueue) -> None:
        """Order a queue by turns; done whenever something was added or is about to be taken."""
        by_arrival = sorted(queue.queue, key=lambda event: event.enqueue_time)
        by_session = in_turns(by_arrival, _session, self.served)
        queue.queue[:] = in_turns(by_session, _visitor, self.served)

    def place(self, kind: str, session: str) -> Place | None:
        """Where the first job of a session stands in the queue of a kind of work; None where none of it waits."""
        queue = self.event_queue_per_concurrency_id.get(kind)
        waiting = list(queue.queue) if queue else []
        ahead = next((place for place, event in enumerate(waiting) if event.session_hash == session), None)
        if queue is None or ahead is None:
            return None
        running = [(fn, begun) for fn, times in list(queue.start_times_per_fn.items()) for begun in list(times)]
        functions = [event.fn for event in waiting[:ahead]]
        known = {fn: took.avg_time for fn, took in list(self.process_time_per_fn.items())}
        seconds = None
        if all(fn in known for fn in (*functions, *(fn for fn, _ in running))):
            now, at_once = time.time(), queue.concurrency_limit or 1
            rests = [max(0.0, known[fn] - (now - begun)) for fn, begun in running]
            seconds = (sum(rests) + sum(known[fn] for fn in functions)) / at_once
        return Place(ahead + len(running), seconds)

    def is_computing(self, kind: str, session: str) -> bool:
        """Whether a job of a session is computed now, of a kind of work."""
        jobs = [event for job in list(self.active_jobs) if job for event in job]
        return any(event.concurrency_id == kind and event.session_hash == session for event in jobs)

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """What is computed next."""
        for queue in self.event_queue_per_concurrency_id.values():
            if queue.queue and (queue.concurrency_limit is None or queue.current_concurrency < queue.concurrency_limit):
                self._arrange(queue)
        found = super().get_events()
        for event in found[0] if found else ():
            self.turn += 1
            for owner in (_visitor(event), _session(event)):
                self.served.pop(owner, None)  # so that the order is that of being served
                self.served[owner] = self.turn
        while len(self.served) > SERVED_KEPT:
            del self.served[next(iter(self.served))]
        return found

    def start(self) -> None:
        """Begin to work."""
        super().start()  # type: ignore[no-untyped-call]
        run_coro_in_background(self._watch)

    async def _watch(self) -> None:
        """Once a second, drop what waits for nobody, stop what runs for nobody between two of its steps, and forget
        sessions whose answers nobody fetched.
        """
        while not self.stopped:
            await asyncio.sleep(1)
            for queue in self.event_queue_per_concurrency_id.values():
                for event in [event for event in queue.queue if self._is_forsaken(event)]:
                    self._drop(queue, event)
            for event in [event for job in self.active_jobs if job for event in job]:
                if event.alive and self._is_forsaken(event):
                    logger.info("A job that nobody listens for is stopped")
                    event.alive = False
            for session in [s for s in self.pending_event_ids_session if s not in self.pending_messages_per_session]:
                self.pending_event_ids_session.pop(session, None)

    def _is_forsaken(self, event: Event) -> bool:
        call = event.request.headers.get(CALL_HEADER)
        keys = [call] if call else [event.session_hash, event._id]
        return min(self.listeners.silence(key, event.enqueue_time) for key in keys) > GRACE

    def _drop(self, queue: EventQueue, event: Event) -> None:
        logger.info("A job that nobody listens for is dropped")
        queue.queue.remove(event)
        self.event_ids_to_events.pop(event._id, None)
        self.send_message(event, ProcessCompletedMessage(output={"error": UNHEARD}, success=False))


def _visitor(event: Event) -> str:
    return asker.visitor(event.request)


def _session(event: Event) -> tuple[str, str]:
    return _visitor(event), event.session_hash

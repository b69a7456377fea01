"""A visitor of the soak: their requests, and what the app may answer."""

from __future__ import annotations

import hashlib
import json
import random
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.page_viewer import Viewer
from tests.helpers.knocking import Knocker
from tests.helpers.serving import RunningApp

PATIENCE = 300.0  # seconds for any answer
# What docs/api.md promises of a queue that is full: an answer, not a failure.
REFUSALS = {
    "refused: the queue is full": r"The queue is full: \d+ jobs wait already\. Try again when some of them are done\.",
    "refused: the visitor's share": r"\d+ of your jobs wait already, and no more may; ask again when one of .* done\.",
}  # fmt: skip


class Failed(Exception):  # noqa: N818, it is what is counted
    """A request that failed, and the client is not to blame."""


@dataclass
class Tally:
    """What became of the requests of all clients."""

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)  # answers that a lone client did not get


class Visitor:
    """A visitor with an address of their own, or with none the operator.

    Args:
        app: what serves.
        number: of the visitor, 1 to 254.
        tally: of all of them.
    """

    def __init__(self, app: RunningApp, number: int | None, tally: Tally) -> None:
        headers = {} if number is None else {"X-Forwarded-For": f"203.0.113.{number}"}
        self.knocker, self.tally = Knocker(app, headers=headers), tally
        self.http = self.knocker.client
        self.http.timeout = httpx.Timeout(PATIENCE)
        self.viewer = Viewer(app.url, self.http)
        self.random = random.Random(number)

    def call(self, endpoint: str, **values: Any) -> tuple[str, Any]:
        """The last event of a call and its data; the name of a refusal where the queue took none.

        Raises:
            Failed: the answer is neither what was asked for nor a sentence that says why not.
        """
        # Python's own JSON, as that of httpx takes no number of 400 digits
        posted = self.http.post(
            f"/gradio_api/call/v2/{endpoint}", content=json.dumps(values), headers={"Content-Type": "application/json"}
        )
        if posted.status_code != 200:
            return refusal(posted), sentence_of(posted)
        event, data = "", None
        with self.http.stream("GET", f"/gradio_api/call/{endpoint}/{posted.json()['event_id']}") as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
        if event not in ("complete", "error"):
            raise Failed(f"{endpoint}: the stream ends with {event!r}")
        return event, data

    def comparison(self, values: dict[str, Any]) -> str:
        """The digest of a comparison's pictures and figures, or the name of a refusal."""
        event, data = self.call("compare", **values)
        if event != "complete":
            return self.no_answer("compare", event, data)
        base, tuned, facts = data
        digest = hashlib.sha256()
        for file in (*base, *tuned):
            digest.update(self.http.get(f"/gradio_api/file={file['path']}").raise_for_status().content)
        digest.update(json.dumps({**facts, "seconds_per_image": None}, sort_keys=True).encode())
        return digest.hexdigest()

    def evaluation(self, values: dict[str, Any]) -> str:
        """The digest of an evaluation's figures but for its durations, or the name of a refusal."""
        event, data = self.call("evaluate", **values)
        if event != "complete":
            return self.no_answer("evaluate", event, data)
        report, facts = data
        self.http.get(f"/gradio_api/file={report[0]['path']}").raise_for_status()
        return hashlib.sha256(json.dumps(without_durations(facts), sort_keys=True).encode()).hexdigest()

    def score(self, content: bytes) -> tuple[str, Any]:
        """The last event of the score of a picture, which is uploaded first, and its data."""
        posted = self.http.post("/gradio_api/upload", files={"files": ("picture.png", content)})
        if posted.status_code != 200:
            raise Failed(f"upload: HTTP {posted.status_code} {posted.text[:200]}")
        image = {"path": posted.json()[0], "meta": {"_type": "gradio.FileData"}}
        return self.call("score", image=image, scorer="photographic")

    @staticmethod
    def no_answer(what: str, event: str, data: Any) -> str:
        """The name of the refusal that an event is; raises Failed where it is none."""
        if event in REFUSALS:
            return event
        raise Failed(f"{what}: {event} {data}")

    @contextmanager
    def waiting_job(self, values: dict[str, Any]) -> Iterator[tuple[str, str, Iterator[dict[str, Any]]] | str]:
        """A comparison with an open stream of its own: session, id and events; or the name of a refusal."""
        session = uuid.uuid4().hex
        posted = self.knocker.join("compare", session, **values)
        if posted.status_code != 200:
            yield refusal(posted)
            return
        with self.http.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
            lines = (line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: "))
            yield session, posted.json()["event_id"], map(json.loads, lines)


def without_durations(value: Any) -> Any:
    """The same, without any entry that tells seconds."""
    if isinstance(value, dict):
        return {name: without_durations(one) for name, one in value.items() if "seconds" not in name}
    return [without_durations(one) for one in value] if isinstance(value, list) else value


def refusal(answer: httpx.Response) -> str:
    """Which of REFUSALS an answer is; else "refused", which is for bad input.

    Raises:
        Failed: it is no refusal of the client's fault.
    """
    said = sentence_of(answer)
    for name, pattern in REFUSALS.items():
        if answer.status_code == 503 and re.fullmatch(pattern, said):
            return name
    if answer.status_code >= 500:
        raise Failed(f"HTTP {answer.status_code}: {said[:300]}")
    return "refused"


def sentence_of(answer: httpx.Response) -> str:
    """What an answer that is no success says."""
    try:
        found = answer.json()
    except ValueError:
        return answer.text
    return str(found.get("detail", found)) if isinstance(found, dict) else str(found)

"""What the visitors of the soak do, each with what the app must answer."""

from __future__ import annotations

import io
import json
import random
import re
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from benchmarks.soak_visitor import REFUSALS, Failed, Visitor, refusal
from ddpo.ui.shared.sentences import FULL, SHORT, UNEXPECTED

COMPARISONS: list[dict[str, Any]] = [
    {"pair": "church-64", "scorer": "photographic", **more}
    for more in (
        {"scheduler": "ddim", "steps": 5, "samples": 2, "seed": 7},
        {"scheduler": "ddim", "steps": 4, "samples": 1, "eta": 1.0, "seed": 4294967295},
        {"scheduler": "pndm", "steps": 6, "samples": 1, "seed": 1},
        {"scheduler": "dpm-solver++", "steps": 5, "samples": 2, "seed": 2},
        {"scheduler": "heun", "steps": 4, "samples": 1, "seed": 3},
        {"scheduler": "ddpm", "steps": 12, "samples": 1, "seed": 5},
    )
]
EVALUATION: dict[str, Any] = {"pair": "church-64", "grid": ["ddim:4"], "seeds": 2, "seed": 20_000}
LONG = {"pair": "church-64", "scheduler": "ddpm", "steps": 400, "samples": 1}  # to be cancelled
LEFT = {"pair": "church-64", "scheduler": "ddim", "steps": 30, "samples": 1}  # its client goes away
BURST = 12  # jobs that one visitor asks for at once, of which the queue takes an eighth of its size
NO_SENTENCES = (UNEXPECTED, FULL, SHORT, "Internal Server Error", "Traceback")
BAD_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("compare", {"scheduler": "nonesuch"}), ("compare", {"steps": 0}), ("compare", {"steps": 10**400}),
    ("compare", {"samples": 17}), ("compare", {"seed": -1}), ("compare", {"pair": "run:none"}),
    ("compare", {"base": "/etc/passwd"}), ("compare", {"stps": 3}), ("compar", {}), ("compare", {"eta": "much"}),
    ("score", {}), ("score", {"image": "no such file", "scorer": "photographic"}), ("run_status", {"run": "../../etc"}),
    ("list_runs", {"limit": 0}), ("evaluate", {"grid": ["ddim:0"]}),
    ("evaluate", {"seeds": 10**9}), ("start_run", {"reward": "nonesuch"}), ("stop_run", {"run": "none"}),
]  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """The answers that a lone client got, and the files that it sent."""

    comparisons: dict[int, str]  # digest, by place in COMPARISONS
    evaluation: str  # digest of EVALUATION's answer
    scores: dict[str, float]  # by name of the picture
    pictures: dict[str, bytes]
    hostile: dict[str, bytes]


def compare(visitor: Visitor, expected: Expected) -> str:
    """A comparison through the endpoint; pictures and figures must be those that a lone client got."""
    index = visitor.random.randrange(len(COMPARISONS))
    digest = visitor.comparison(COMPARISONS[index])
    if digest not in REFUSALS and digest != expected.comparisons[index]:
        visitor.tally.different.append(f"comparison {COMPARISONS[index]}")
    return digest if digest in REFUSALS else "answered"


def score(visitor: Visitor, expected: Expected) -> str:
    """A score of an uploaded picture; it must be the one that a lone client got."""
    name = visitor.random.choice(sorted(expected.pictures))
    event, data = visitor.score(expected.pictures[name])
    if event != "complete":
        return visitor.no_answer("score", event, data)
    if data[0]["score"] != expected.scores[name]:
        visitor.tally.different.append(f"score of {name}: {data[0]['score']}, alone {expected.scores[name]}")
    return "answered"


def evaluate(visitor: Visitor, expected: Expected) -> str:
    """An evaluation: one whose pictures are kept, with the answer that a lone client got, or one of other seeds."""
    kept = visitor.random.random() < 0.5
    seed = EVALUATION["seed"] if kept else visitor.random.randrange(1 << 31)
    digest = visitor.evaluation({**EVALUATION, "seed": seed})
    if digest in REFUSALS:
        return digest
    if kept and digest != expected.evaluation:
        visitor.tally.different.append("the evaluation")
    return "answered" if kept else "drawn and answered"


def look_at_runs(visitor: Visitor, expected: Expected) -> str:
    """The run that trains, or the list of runs."""
    endpoint, values = visitor.random.choice((("run_status", {"history": True}), ("list_runs", {"limit": 5})))
    event, data = visitor.call(endpoint, **values)
    if event != "complete":
        return visitor.no_answer(endpoint, event, data)
    found = data[0] if endpoint == "run_status" else data[0][0]
    if found["state"] not in ("starting", "running"):
        raise Failed(f"{endpoint}: the run is {found['state']}: {found['error']}")
    return "answered"


def look_at_page(visitor: Visitor, expected: Expected) -> str:
    """What the Train tab asks for every 1.5 seconds."""
    try:
        visitor.viewer.look()
    except ValueError as error:
        raise Failed(f"a look at the page: {error}") from error
    return "answered"


def open_page(visitor: Visitor, expected: Expected) -> str:
    """The page, or something that it is made of."""
    path = visitor.random.choice(("/", "/config", "/?tab=train", "/gradio_api/info", "/theme.css"))
    answer = visitor.http.get(path)
    if answer.status_code != 200 or len(answer.content) < 500:
        raise Failed(f"{path}: HTTP {answer.status_code}, {len(answer.content)} bytes")
    return "answered"


def compare_on_page(visitor: Visitor, expected: Expected) -> str:
    """A comparison by the page's own button."""
    said = visitor.knocker.press("_on_compare", samples=1, steps=4, seed=3)
    for name, pattern in REFUSALS.items():
        if re.search(pattern, said):
            return name
    if json.loads(said).get("success") is not True:
        raise Failed(f"a comparison of the page: {said[:300]}")
    return "answered"


def cancel(visitor: Visitor, expected: Expected) -> str:
    """Cancel a comparison as the Python client does, and see its stream end."""
    with visitor.waiting_job(LONG) as job:
        if isinstance(job, str):
            return job
        session, event, events = job
        for _ in range(visitor.random.randint(1, 3)):
            next(events)
        index = next(one["id"] for one in visitor.knocker.config["dependencies"] if one["api_name"] == "compare")
        body = {"session_hash": session, "fn_index": index, "event_id": event}
        answer = visitor.http.post("/gradio_api/cancel", json=body)
        if answer.status_code != 200:
            raise Failed(f"cancel: HTTP {answer.status_code} {answer.text[:200]}")
        last = [found["msg"] for found in events][-1:]
    if last != ["close_stream"]:
        raise Failed(f"cancel: the stream ends with {last}")
    return "cancelled"


def leave(visitor: Visitor, expected: Expected) -> str:
    """Go away in the middle: of a comparison, of an upload, or of the page."""
    what = visitor.random.choice(("comparison", "upload", "page"))
    if what == "comparison":
        with visitor.waiting_job(LEFT) as job:
            if isinstance(job, str):
                return job
            next(job[2])
    else:
        head = "POST /gradio_api/upload HTTP/1.1" if what == "upload" else "GET /config HTTP/1.1"
        more = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 99999\r\n" if what == "upload" else ""
        part = '--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nhalf of'
        port = visitor.knocker.port
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            body = part if what == "upload" else ""
            connection.sendall(f"{head}\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n{body}".encode())
            time.sleep(0.05)
    return f"left a {what}"


def burst(visitor: Visitor, expected: Expected) -> str:
    """Ask for more at once than a visitor's share, then wait for all that were taken."""
    session = uuid.uuid4().hex
    answers = [visitor.knocker.join("compare", session, **COMPARISONS[1]) for _ in range(BURST)]
    refused = Counter(refusal(answer) for answer in answers if answer.status_code != 200)
    visitor.tally.outcomes["one of a burst"].update(refused)
    taken, done = BURST - refused.total(), 0
    with visitor.http.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
        for line in stream.iter_lines():
            found = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            done += found.get("msg") == "process_completed" and found["success"]
    visitor.tally.outcomes["one of a burst"]["answered"] += done
    if done != taken:
        raise Failed(f"a burst: {taken} were taken and {done} answered")
    return "answered"


def send_bad_input(visitor: Visitor, expected: Expected) -> str:
    """Send something wrong; what comes back must be a sentence."""
    if visitor.random.random() < 0.4:
        name = visitor.random.choice(sorted(expected.hostile))
        event, data = visitor.score(expected.hostile[name])
        what = f"the picture {name}"
    else:
        endpoint, values = visitor.random.choice(BAD_CALLS)
        event, data = visitor.call(endpoint, **values)
        what = f"{endpoint} with {str(values)[:80]}"
    if event in REFUSALS:
        return event
    if event == "complete":
        return "answered all the same"
    said = str(data.get("error") if isinstance(data, dict) else data)
    if len(said) < 10 or any(text in said for text in NO_SENTENCES):
        raise Failed(f"{what} is answered with {said!r}")
    return "told what is wrong"


SHARES: dict[str, tuple[int, Callable[[Visitor, Expected], str]]] = {
    "compare": (28, compare), "score": (18, score), "evaluate": (4, evaluate), "run status": (14, look_at_runs),
    "look of the page": (10, look_at_page), "page": (8, open_page),
    "comparison of the page": (4, compare_on_page), "cancel": (5, cancel),
    "leave": (6, leave), "burst": (1, burst), "bad input": (6, send_bad_input),
}  # fmt: skip


def good_pictures() -> dict[str, bytes]:
    """Pictures of several kinds and sizes, the same ones each time."""
    noise = Image.frombytes("RGB", (96, 96), random.Random(0).randbytes(96 * 96 * 3))
    made = {}
    for name, picture, kind in (
        ("noise", noise, "PNG"), ("a JPEG", noise.resize((640, 480)), "JPEG"), ("grey", noise.convert("L"), "WEBP"),
        ("a palette", noise.convert("P"), "PNG"), ("large", noise.resize((2400, 1600)), "JPEG"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        made[name] = buffer.getvalue()
    return made

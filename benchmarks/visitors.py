"""How long a visitor waits behind another who asks for 2,000 comparisons at once: python -m benchmarks.visitors

It starts the app, has one visitor ask as fast as they can while their stream of events is open, then another ask for
one. The result goes to benchmarks/results/visitors.json.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

import ddpo
from benchmarks.machine import describe_machine
from tests.helpers.knocking import Knocker
from tests.helpers.serving import running_app

RESULTS = Path(__file__).with_name("results") / "visitors.json"
ASKED = 2000
JOB = {"pair": "church-64", "samples": 1, "steps": 60}


def measure(asked: int = ASKED) -> dict[str, Any]:
    """What became of so many jobs of one visitor, and how long one of another took."""
    with tempfile.TemporaryDirectory() as folder, running_app(Path(folder) / "log.txt") as app:
        greedy, other = (Knocker(app, headers={"X-Forwarded-For": f"203.0.113.{n}"}) for n in (1, 2))
        other.call("compare", **JOB)  # loads the models
        started = time.monotonic()
        other.call("compare", **JOB)
        alone = time.monotonic() - started
        statuses: Counter[int] = Counter()
        sentences: Counter[str] = Counter()
        slowest, started = 0.0, time.monotonic()
        for _ in range(asked):
            sent = time.monotonic()
            answer = greedy.join("compare", "greedy", **JOB)
            slowest = max(slowest, time.monotonic() - sent)
            statuses[answer.status_code] += 1
            if answer.status_code == 200 and statuses[200] == 1:
                threading.Thread(target=listen, args=(greedy, "greedy"), daemon=True).start()
            elif answer.status_code != 200:
                sentences[answer.json()["detail"]] += 1
        asking = time.monotonic() - started
        started = time.monotonic()
        other.call("compare", **JOB)
        return {
            "jobs_asked_for": asked,
            "seconds_to_ask": round(asking, 1),
            "statuses": {str(status): count for status, count in statuses.items()},
            "refusals": dict(sentences),
            "slowest_answer_seconds": round(slowest, 3),
            "seconds_of_a_job_alone": round(alone, 2),
            "seconds_of_the_other_visitors_job": round(time.monotonic() - started, 2),
        }


def listen(who: Knocker, session: str) -> None:
    """Keep a session's stream of events open until the app ends."""
    try:
        with who.client.stream("GET", f"/gradio_api/queue/data?session_hash={session}", timeout=None) as stream:
            for _ in stream.iter_lines():
                pass
    except httpx.HTTPError:
        pass


def main() -> None:
    """Measure, print and write."""
    results = {"machine": describe_machine(), "ddpo": ddpo.__version__, **measure()}
    print(json.dumps(results, indent=2))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

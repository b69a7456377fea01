"""How long a visitor waits behind another who asks for 2,000 comparisons at once: python -m benchmarks.visitors

It starts the app, and has one visitor ask as fast as they can while their stream of events is open. Another then asks
for one comparison, three times. The figures go to benchmarks/results/visitors.json. The exit code is 1 where a bound is
broken: each job is taken, or refused at once with the sentence of a full queue; and the other's starts within the time
of one job.
"""

from __future__ import annotations

import json
import re
import signal
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

import ddpo
from benchmarks.machine import describe_machine
from benchmarks.soak_visitor import REFUSALS
from tests.helpers.knocking import Knocker
from tests.helpers.serving import running_app

RESULTS = Path(__file__).with_name("results") / "visitors.json"
ASKED = 2000
OTHERS = 3  # comparisons of the other visitor
JOB = {"pair": "church-64", "samples": 1, "steps": 60}
AT_ONCE = 2.0  # seconds that a refusal may take at the most, or a quarter of a job where the machine is slow
NOTICE = 0.5  # seconds that the news of a start may be late


@dataclass
class Heard:
    """When the jobs of a session started and ended, by `time.monotonic`."""

    started: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        """How long each job took that has ended."""
        return [end - start for start, end in zip(self.started, self.ended, strict=False)]


def measure(asked: int = ASKED) -> dict[str, Any]:
    """What became of so many jobs of one visitor, and how long those of another took."""
    with tempfile.TemporaryDirectory() as folder, running_app(Path(folder) / "log.txt") as app:
        greedy, other = (Knocker(app, headers={"X-Forwarded-For": f"203.0.113.{n}"}) for n in (1, 2))
        other.call("compare", **JOB)  # loads the models
        alone = compare(other)
        heard, statuses, sentences, slowest = Heard(), Counter[int](), Counter[str](), 0.0
        begun = time.monotonic()
        for _ in range(asked):
            answer = greedy.join("compare", "greedy", **JOB)
            slowest = max(slowest, answer.elapsed.total_seconds())
            statuses[answer.status_code] += 1
            if answer.status_code == 200 and statuses[200] == 1:
                threading.Thread(target=listen, args=(greedy, "greedy", heard), daemon=True).start()
            elif answer.status_code != 200:
                sentences[answer.json()["detail"]] += 1
        asking = time.monotonic() - begun
        print(f"{dict(statuses)} in {asking:.0f} s", file=sys.stderr, flush=True)
        others = []
        for _ in range(OTHERS):
            others.append(compare(other, greedy))
            print("The other's comparison starts after {:.1f} s, of {:.1f} s".format(*others[-1]), file=sys.stderr)
    return {
        "jobs_asked_for": asked,
        "seconds_to_ask": round(asking, 1),
        "statuses": {str(status): count for status, count in statuses.items()},
        "refusals": dict(sentences),
        "slowest_answer_seconds": round(slowest, 3),
        "seconds_of_a_job_alone": round(alone[1], 2),
        "seconds_of_the_greedy_visitors_jobs": [round(found(heard.seconds), 2) for found in (statistics.median, max)],
        "seconds_until_the_other_visitors_job_starts": [round(start, 2) for start, _ in others],
        "seconds_of_the_other_visitors_job": [round(whole, 2) for _, whole in others],
        "broken": broken(statuses, sentences, slowest > max(AT_ONCE, alone[1] / 4), heard.seconds, others),
    }


def broken(
    statuses: Counter[int],
    sentences: Counter[str],
    slow: bool,
    jobs: list[float],
    others: list[tuple[float, float]],
) -> list[str]:
    """The bounds that are not kept, each as a sentence."""
    found = {
        "The queue gave other answers than taken and full.": set(statuses) - {200, 503},
        "A refusal was none of the promised sentences.": [
            said for said in sentences if not any(re.fullmatch(pattern, said) for pattern in REFUSALS.values())
        ],
        "An answer was not given at once.": slow,
        "The other visitor waited for more than one job.": max(start for start, _ in others) > max(jobs) + NOTICE,
    }
    return [sentence for sentence, wrong in found.items() if wrong]


def compare(who: Knocker, greedy: Knocker | None = None) -> tuple[float, float]:
    """Seconds until a comparison starts, and until it has ended; before it `greedy` asks for whatever they may."""
    if greedy is not None:
        while greedy.join("compare", "greedy", **JOB).status_code == 200:
            pass
    session, begun = uuid.uuid4().hex, time.monotonic()
    who.join("compare", session, **JOB)
    heard = Heard()
    listen(who, session, heard)
    return heard.started[0] - begun, heard.ended[0] - begun


def listen(who: Knocker, session: str, heard: Heard | None = None) -> None:
    """Keep a session's stream of events open until it or the app ends, and note when jobs start and end."""
    heard = heard or Heard()
    try:
        with who.client.stream("GET", f"/gradio_api/queue/data?session_hash={session}", timeout=None) as stream:
            for line in stream.iter_lines():
                if '"msg":"process_starts"' in line.replace(" ", ""):
                    heard.started.append(time.monotonic())
                elif '"msg":"process_completed"' in line.replace(" ", ""):
                    heard.ended.append(time.monotonic())
    except httpx.HTTPError:
        pass


def main() -> None:
    """Measure, print and write; ends with 1 where a bound is broken."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the app goes too
    results = {"machine": describe_machine(), "ddpo": ddpo.__version__, **measure()}
    print(json.dumps(results, indent=2))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if results["broken"] else 0)


if __name__ == "__main__":
    main()

"""The queue under load, through real requests: bounded, fair, and for those only who wait for the answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from benchmarks.visitors import listen
from ddpo.comparison.compare import compare
from ddpo.comparison.settings import ComparisonSettings
from ddpo.errors import Busy, UserError
from ddpo.ui.shared import places
from ddpo.ui.space import permission, scoring, turns
from ddpo.ui.space.asker import Asker
from ddpo.ui.space.listeners import Listeners
from tests.helpers.knocking import Knocker, last_event
from tests.helpers.serving import RunningApp, running_app

GRACE = 4  # seconds, in place of turns.GRACE
JOB = {"pair": "church-64", "samples": 1, "steps": 20}
LONG = {"pair": "church-64", "samples": 1, "scheduler": "ddpm", "steps": 1000}


def impatient() -> None:
    """In the app's process, before it serves."""
    turns.GRACE = GRACE


@pytest.fixture(scope="module")
def busy_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app that soon drops what nobody listens for."""
    with running_app(tmp_path_factory.mktemp("busy") / "log.txt", impatient) as app:
        yield app


def visitor(app: RunningApp, number: int) -> Knocker:
    return Knocker(app, headers={"X-Forwarded-For": f"203.0.113.{number}"})


def ask(who: Knocker, **values: Any) -> httpx.Response:
    return who.client.post("/gradio_api/call/v2/compare", json=values)


def seconds_alone(who: Knocker) -> float:
    """What a JOB takes where nothing else is asked for, once the models are loaded."""
    who.call("compare", **JOB)
    started = time.monotonic()
    who.call("compare", **JOB)
    return time.monotonic() - started


def test_beyond_its_size_the_queue_refuses_at_once_and_the_next_visitor_has_a_turn(busy_app: RunningApp) -> None:
    """`python -m benchmarks.visitors` does the same with 2,000 jobs."""
    greedy, other = visitor(busy_app, 1), visitor(busy_app, 2)
    alone = seconds_alone(other)
    began = time.monotonic()
    assert greedy.join("compare", "greedy", **JOB).status_code == 200
    threading.Thread(target=listen, args=(greedy, "greedy"), daemon=True).start()
    answers = [greedy.join("compare", "greedy", **JOB) for _ in range(40)]
    took = time.monotonic() - began
    accepted, share = sum(answer.status_code == 200 for answer in answers), turns.SIZE // turns.VISITORS
    assert share <= accepted <= share + 1 + 2 * took / alone  # those that are done by now have left their places
    refused = {(answer.status_code, answer.json()["detail"]) for answer in answers if answer.status_code != 200}
    said = f"{share} of your jobs wait already, and no more may; ask again when one of them is done."
    assert refused == {(503, said)} and max(answer.elapsed.total_seconds() for answer in answers) < 2
    started = time.monotonic()
    assert '"sentence"' in other.call("compare", **JOB)
    assert time.monotonic() - started < 4 * alone + 2  # the rest of one job and its own, where eight wait before it
    greedy.client.close()


def test_what_nobody_listens_for_is_stopped_and_dropped(busy_app: RunningApp) -> None:
    mark = len(busy_app.log)
    left, other = visitor(busy_app, 3), visitor(busy_app, 4)
    alone = seconds_alone(other)
    events = [ask(left, **LONG).json()["event_id"] for _ in range(3)]
    started = time.monotonic()
    assert '"sentence"' in other.call("compare", **JOB)
    assert time.monotonic() - started < GRACE + 10 * alone + 2  # a LONG one takes 50 times as long as a JOB
    busy_app.wait_for_log("A job that nobody listens for is stopped", mark)
    busy_app.wait_for_log("(?s)dropped.*dropped", mark)
    assert "Nobody was listening for this job" in last_event(left.client, f"/gradio_api/call/compare/{events[2]}")


def test_a_tool_whose_caller_has_gone_is_stopped(busy_app: RunningApp) -> None:
    mark = len(busy_app.log)
    who = Knocker(busy_app)
    call = {"name": "compare", "arguments": LONG}
    with pytest.raises(httpx.TimeoutException):
        who.client.post(
            "/gradio_api/mcp/", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}, timeout=2,
            headers={"Accept": "application/json, text/event-stream"},
        )  # fmt: skip
    busy_app.wait_for_log("A job that nobody listens for is stopped", mark)
    busy_app.wait_for_log("Comparison cancelled", mark)


def test_work_that_waits_in_the_queue_cannot_be_called_past_it(busy_app: RunningApp) -> None:
    for name in ("score", "compare", "evaluate", "_on_score", "_on_compare", "_on_evaluate", "_on_push"):
        for way in ("run", "api"):
            answer = httpx.post(f"{busy_app.url}/gradio_api/{way}/{name}", json={"data": [None] * 13})
            assert answer.status_code == 404 and "join the queue" in answer.text


def test_no_more_than_two_pictures_are_scored_at_a_time_however_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now, most, lock = 0, 0, threading.Lock()

    def slow(picture: Any, scorer: str) -> float:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
        time.sleep(0.05)
        with lock:
            now -= 1
        return 1.0

    monkeypatch.setattr(scoring, "score_picture", slow)
    threads = [threading.Thread(target=scoring.score, args=(None, "photographic")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == places.SCORING.count == 2
    monkeypatch.setattr(scoring, "PATIENCE", 0.01)
    assert places.SCORING.take(1) and places.SCORING.take(1)
    try:
        with pytest.raises(Busy, match="Too many pictures"):
            scoring.score(None, "photographic")  # type: ignore[arg-type]
    finally:
        places.SCORING.give_back()
        places.SCORING.give_back()


def test_a_second_comparison_loads_nothing_before_it_has_the_place(tiny_folder: Path) -> None:
    from ddpo.ui.compare.run import follow

    settings = ComparisonSettings(
        "own", steps=2, samples=1, scorer="photographic", base=str(tiny_folder), tuned=str(tiny_folder)
    )
    first, second = follow(settings), follow(settings)
    assert next(first).stage == "Loading the models"  # type: ignore[union-attr]
    assert [next(second).stage for _ in range(2)] == ["Waiting for another comparison"] * 2  # type: ignore[union-attr]
    first.close()  # type: ignore[attr-defined]
    assert next(stage for event in second if (stage := getattr(event, "stage", "")) != "Waiting for another comparison")
    second.close()  # type: ignore[attr-defined]
    assert places.COMPARING.take(0)
    places.COMPARING.give_back()


def test_the_cost_of_a_comparison_is_bounded_also_where_the_size_is_known_late(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path
) -> None:
    settings = ComparisonSettings(
        "own", "heun", 10, samples=2, scorer="photographic", base=str(tiny_folder), tuned=str(tiny_folder)
    )
    cost = 2 * 10 * 2 * 16**2 / 1e6  # Heun asks the network twice a step
    with pytest.raises(UserError, match=r"2 pictures of 16 x 16 pixels in 10 steps are 0.01024 million pixel steps"):
        list(compare(settings, cost * 0.99))
    assert list(compare(settings, cost))
    monkeypatch.setenv("DDPO_MAX_COST", "20")
    assert permission.most_pixel_steps(Asker.ELSEWHERE) == permission.most_pixel_steps(Asker.VISITOR) == 20
    assert permission.most_pixel_steps(Asker.OPERATOR) is permission.most_pixel_steps(Asker.OWNER) is None
    monkeypatch.setenv("DDPO_MAX_COST", "much")
    with pytest.raises(UserError, match="DDPO_MAX_COST must be a number"):
        permission.most_pixel_steps(Asker.VISITOR)


def job(visitor: str, session: str) -> Any:
    return SimpleNamespace(visitor=visitor, session=session)


def test_visitors_take_turns_and_so_do_the_sessions_of_one() -> None:
    waiting = [job("a", "1"), job("a", "1"), job("a", "2"), job("b", "3"), job("c", "4")]
    by_session = turns.in_turns(waiting, lambda event: str(vars(event)["session"]), {})
    order = turns.in_turns(by_session, lambda event: str(vars(event)["visitor"]), {"a": 7, "b": 3})
    assert [tuple(vars(event).values()) for event in order] == [
        ("c", "4"), ("b", "3"), ("a", "1"), ("a", "2"), ("a", "1"),
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "size"), [("", 64), ("3", 3), ("1e2", 100), ("0", 64), ("many", 64), ("inf", 64)])
def test_the_size_of_the_queue_is_a_setting(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("DDPO_QUEUE", text)
    assert turns.size() == size


def test_silence_is_counted_from_the_last_who_listened() -> None:
    listeners = Listeners()
    before = time.monotonic() - 100
    assert listeners.silence("key", before) >= 100
    with listeners.listening("key"), listeners.listening("key"):
        assert listeners.silence("key", before) == 0
    assert listeners.silence("key", before) < 1

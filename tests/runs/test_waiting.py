"""Runs that wait for their turn: their order, when they are likely to start, and what is not taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpo.errors import Busy
from ddpo.runs import waiting
from ddpo.runs.store import Run, list_runs, training_lock
from tests.helpers.run_folders import make_run


def queue(root: Path, budget: float | None = None) -> Run:
    run = make_run(root, "stopped", 0)
    waiting.enqueue(run, budget)
    return run


def test_runs_wait_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    late, early = make_run(tmp_path, "stopped", 0), make_run(tmp_path, "stopped", 0)
    waiting.enqueue(early, 60)
    waiting.enqueue(late, None)
    assert waiting.queued(list_runs(tmp_path)) == [early, late]
    assert [run.status().state for run in (early, late)] == ["queued"] * 2
    assert (waiting.time_budget(early), waiting.time_budget(late)) == (60, None)
    waiting.leave(early)
    assert waiting.queued(list_runs(tmp_path)) == [late] and early.status().state == "stopped"
    assert "before its turn" in (early.status().notice or "")


def test_the_time_until_the_turn_is_what_those_before_need(tmp_path: Path) -> None:
    training = make_run(tmp_path, "running", 2)  # says that it needs 20 s more
    first, second = queue(tmp_path, budget=7), queue(tmp_path)
    with training_lock(tmp_path, training):
        assert waiting.turn(first) == waiting.Turn(1, 20.0)
        assert waiting.turn(second) == waiting.Turn(2, 27.0)
    assert waiting.turn(first) == waiting.Turn(1, 0)


def test_a_damaged_place_in_the_queue_is_one_all_the_same(tmp_path: Path) -> None:
    run = queue(tmp_path, 60)
    (run.folder / waiting.FILE).write_text('{"time_budget": "long"}')
    assert waiting.time_budget(run) is None and waiting.queued(list_runs(tmp_path)) == [run]


def test_no_more_wait_than_a_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST", 2)
    queue(tmp_path)
    queue(tmp_path)
    with pytest.raises(Busy, match="2 runs wait already"):
        queue(tmp_path)

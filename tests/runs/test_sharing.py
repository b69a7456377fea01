"""Apps that share a folder of runs, and process numbers that are used again."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ddpo.common import leases
from ddpo.errors import Busy
from ddpo.runs import store
from ddpo.runs.folder import lock_path
from ddpo.runs.store import check_idle, current_run, list_runs
from ddpo.ui.train import actions
from tests.helpers.run_folders import SPEC, make_run

_fork = multiprocessing.get_context("fork")


def _press_start(ready: Any, told: Any) -> None:
    """What an app does when somebody presses Start, at the same moment as another."""
    store.TRAINER = (sys.executable, "-c", "import time; time.sleep(3)")
    ready.wait()
    try:
        told.put(actions.start(SPEC, None).id)
    except Busy as busy:
        told.put(f"busy: {busy}")
    os._exit(0)


def test_of_two_apps_that_start_a_run_at_once_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    monkeypatch.setattr(actions, "check_startable", lambda spec: None)  # it has a base that is nowhere
    ready, told = _fork.Barrier(3), _fork.SimpleQueue()
    apps = [_fork.Process(target=_press_start, args=(ready, told)) for _ in range(2)]
    for app in apps:
        app.start()
    ready.wait()
    answers = sorted((told.get(), told.get()), key=lambda answer: answer.startswith("busy"))
    for app in apps:
        app.join()
    assert [run.id for run in list_runs(tmp_path)] == answers[:1], answers
    assert answers[1].startswith(f"busy: The run {answers[0]} has been training") or "is being started" in answers[1]


def test_who_has_the_number_of_a_trainer_that_is_gone_is_not_taken_for_it(tmp_path: Path) -> None:
    """This process is there, and has the number that both the lock and the status name."""
    run = make_run(tmp_path, "running", 1, pid=os.getpid(), host="here")
    lock_path(tmp_path).write_text(json.dumps({"id": run.id, "pid": os.getpid()}))
    assert run.status().state == "interrupted" and current_run(tmp_path) is None
    check_idle(tmp_path)
    lease = {"id": run.id, "renewed": time.time(), **leases._process()}
    (run.folder / leases.NAME).write_text(json.dumps(lease))
    assert run.status().state == "running"
    (run.folder / leases.NAME).write_text(json.dumps({**lease, "begun": "12345"}))
    assert run.status().state == "interrupted"

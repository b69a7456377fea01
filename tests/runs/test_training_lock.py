"""One process trains at a time: who holds the lock is told to others, and a process that is started is on its own."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ddpo.errors import Busy
from ddpo.runs import store
from ddpo.runs.store import Run, create_run, current_run, training_lock
from tests.helpers.here import ROOT
from tests.helpers.run_folders import SPEC
from tests.helpers.waiting import wait_for


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", SPEC)


HOLD = """
import sys, time
from pathlib import Path
from ddpo.runs.store import open_run, training_lock
run = open_run(Path(sys.argv[1]), sys.argv[2])
with training_lock(run.root, run):
    run.write_status(state="running", seconds_left=720.0)
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process_trains(run: Run) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(run.root), run.id]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_second_run_is_refused_and_told_who_trains_and_for_how_long(run: Run) -> None:
    second = create_run(run.root, SPEC)
    assert current_run(run.root) is None
    with another_process_trains(run) as process:
        expected = rf"^The run {run.id} has been training since \d+ \w+ \d\d:\d\d UTC and needs 12 minutes more; .*\.$"
        with pytest.raises(Busy, match=expected), training_lock(run.root, second):
            pass
        with pytest.raises(Busy, match=expected):
            store.start_process(second)
        assert current_run(run.root) == run and run.status().state == "running"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert current_run(run.root) is None and run.status().state == "interrupted"
        with training_lock(run.root, second):
            assert current_run(run.root) == second
    assert current_run(run.root) is None


def test_a_look_at_the_lock_keeps_nobody_from_training(run: Run) -> None:
    """`holder` takes the lock for an instant; here that instant is long."""
    with training_lock(run.root, run):
        pass
    looking = os.open(run.root / ".lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, (looking,)).start()
    with training_lock(run.root, run):
        assert current_run(run.root) == run


TRAIN = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, os.environ["ROOT"])
from ddpo.runs.store import open_run, training_lock
print("arguments", *sys.argv[1:])
run = open_run(Path(sys.argv[4]), sys.argv[2])
with training_lock(run.root, run):
    run.write_status(state="running", pid=os.getpid())
    while not run.stop_requested():
        time.sleep(0.01)
    run.clear_stop()
    run.write_status(state="stopped")
"""


def test_a_started_process_is_on_its_own_and_stops_on_request(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.setattr(store, "TRAINER", (sys.executable, str(tmp_path / "train.py")))
    monkeypatch.setenv("ROOT", str(ROOT))
    run.request_stop()  # of an earlier time
    pid = store.start_process(run, time_budget=90)
    assert not run.stop_requested()
    assert run.status().state in ("starting", "running") and current_run(run.root) == run
    with pytest.raises(Busy):
        store.start_process(create_run(run.root, SPEC))  # also before the first one has the lock
    wait_for(lambda: run.status().state == "running")
    assert run.status().pid == pid and os.getsid(pid) == pid != os.getsid(0)
    run.request_stop()
    wait_for(lambda: run.status().state == "stopped")
    wait_for(lambda: current_run(run.root) is None)
    arguments = f"arguments resume {run.id} --root {run.root.resolve()} --time-budget 90"
    assert (run.folder / "log.txt").read_text().strip() == arguments


def test_a_process_that_cannot_begin_is_told_of(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('no luck')")
    monkeypatch.setattr(store, "TRAINER", (sys.executable, str(tmp_path / "train.py")))
    store.start_process(run)
    wait_for(lambda: run.status().state == "failed")
    assert "ended with code 1 before it began" in str(run.status().error)
    assert (run.folder / "log.txt").read_text() == "no luck\n"

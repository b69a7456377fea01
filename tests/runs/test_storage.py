"""Runs in a mounted bucket: what works there is found out, and no kill, delay or refusal loses what was saved."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ddpo.common import leases, storage
from ddpo.common.files import read_json, write_json
from ddpo.common.leases import Lease, LeaseLost, Taken
from ddpo.common.storage import PLAIN, Storage, probe
from ddpo.errors import Busy, UserError
from ddpo.runs import checkpoints, store
from ddpo.runs.checkpoints import CheckpointStore
from ddpo.runs.store import Run, create_run, current_run, list_runs, open_run, training_lock
from tests.helpers.forks import PATIENCE, begin, train, train_and_be_killed
from tests.helpers.object_store import Behaviour, MountedBucket, mounted_bucket, stop_at
from tests.helpers.run_folders import SPEC
from tests.helpers.serving import ROOT
from tests.helpers.trainer_command import TINY, assert_same_weights, only_run
from tests.helpers.waiting import wait_for

HF_MOUNT: dict[str, Any] = {}
WORST: dict[str, Any] = {"refuses": ("append", "rename", "fsync", "flock")}
LATE: dict[str, Any] = {"late": 2, "slow": 0.01}
SHORT = [*TINY, "--epochs", "2"]
CAREFUL = Storage(remote=True, renames=False, appends=False, syncs=False, locks=False)


@pytest.fixture
def quick_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SETTLE", 0.05)
    monkeypatch.setattr(leases, "BEAT", 0.1)


# What works ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (HF_MOUNT, Storage(remote=True, appends=False)),
        ({"refuses": ()}, Storage(remote=True)),
        ({"refuses": ("flock",), "shares_locks": True}, Storage(remote=True, locks=False)),
        (WORST, CAREFUL),
        (LATE, Storage(remote=True, renames=False, appends=False)),  # a rename that is not seen at once is none
    ],
    ids=["as hf-mount", "refuses nothing", "shares locks", "refuses all", "late"],
)
def test_what_works_in_a_bucket_is_found_out(tmp_path: Path, behaviour: dict[str, Any], expected: Storage) -> None:
    with mounted_bucket(tmp_path, **behaviour) as bucket:
        assert probe(bucket.folder / "runs") == expected
        run = create_run(bucket.folder / "runs", SPEC)
        assert json.loads((run.folder / "run.json").read_text())["storage"]["renames"] == expected.renames
        assert "a lease stands for the lock" in expected.describe() and "in parts" in expected.describe()


def test_a_disk_is_used_as_ever_and_nothing_is_said(tmp_path: Path) -> None:
    assert probe(tmp_path) == PLAIN and PLAIN.describe() == "" and list(tmp_path.iterdir()) == []
    run = create_run(tmp_path, SPEC)
    assert "storage" not in json.loads((run.folder / "run.json").read_text())


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_back_was_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.2)
    with mounted_bucket(tmp_path, refuses=("append", "rename"), late=1000) as bucket:
        store = CheckpointStore(bucket.folder / "checkpoints", storage=CAREFUL)
        with pytest.raises(UserError, match=r"The checkpoint of step 1 could not be .*could not be read back"):
            store.save({"a": torch.ones(3)}, 1, 1)
        assert store.load_newest() is None


def test_a_checkpoint_is_kept_until_the_store_has_had_time_for_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path, storage=CAREFUL)
    for step in range(1, 6):
        store.save({"a": torch.ones(3)}, step, 1)
    assert store.steps() == [1, 2, 3, 4, 5]
    monkeypatch.setattr(checkpoints, "SETTLE", 0.0)
    store.save({"a": torch.ones(3)}, 6, 1)
    assert store.steps() == [5, 6]


HOLD = """
import sys, time
from pathlib import Path
from ddpo.runs.store import open_run, training_lock
_, _, run_id, _, root = sys.argv
run = open_run(Path(root), run_id)
with training_lock(run.root, run):
    run.write_status(state="running")
    print("held", flush=True)
    while not run.stop_requested():
        time.sleep(0.01)
    run.clear_stop()
    run.write_status(state="stopped")
"""  # what the process that trains does, but for training


# Leases --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_leases")
def test_a_lease_keeps_others_out_until_it_is_given_back_or_its_holder_is_gone(tmp_path: Path) -> None:
    with mounted_bucket(tmp_path, **WORST) as bucket:
        run = create_run(bucket.folder, SPEC)
        with training_lock(bucket.folder, run) as lease:
            assert isinstance(lease, Lease) and current_run(bucket.folder) == run
            with pytest.raises(Busy, match=run.id), training_lock(bucket.folder, run):
                pass
            time.sleep(0.3)
            lease.check()
        assert current_run(bucket.folder) is None or run.is_about_to_train()
        command = [sys.executable, "-c", HOLD, "resume", run.id, "--root", str(bucket.folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            assert leases.holder(run.folder) is not None and run.status().state == "running"
            process.kill()
            process.wait()
        assert leases.holder(run.folder) is None and run.status().state == "interrupted"
        with training_lock(bucket.folder, run):
            pass


@pytest.mark.usefixtures("quick_leases")
def test_of_two_that_take_a_lease_at_once_one_gets_it_and_who_loses_it_stops(tmp_path: Path) -> None:
    first = Lease(tmp_path, {"id": "first"}, CAREFUL)
    path = tmp_path / leases.NAME
    write_json(path, {**read_json(path), "id": "other", "token": "other"}, storage=CAREFUL)  # by another mount
    wait_for(lambda: first._lost is not None, 5)
    with pytest.raises(LeaseLost, match="The run other is being trained by another process now"):
        first.check()
    first.release()
    assert read_json(path)["id"] == "other"  # what is another's is left alone
    with pytest.raises(Taken):
        Lease(tmp_path, {"id": "third"}, CAREFUL)


def test_a_lease_of_another_machine_ends_with_its_time(tmp_path: Path) -> None:
    facts = {"id": "far", "token": "x", "machine": "another", "process": 1, "begun": "1"}
    for age, holds in ((5, True), (leases.LIFE + 5, False), (-leases.LIFE - 5, False)):
        write_json(tmp_path / leases.NAME, {**facts, "renewed": time.time() - age})
        assert (leases.holder(tmp_path) is not None) == holds
    (tmp_path / leases.NAME).write_text("{")
    assert leases.holder(tmp_path) is None


# Runs ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing disturbed, on a disk."""
    root = tmp_path_factory.mktemp("whole") / "runs"
    done = train(root, "start", "--base", tiny_folder, "--reward", "colourfulness", *SHORT)
    assert done.returncode == 0, done.stderr
    return only_run(root)


@pytest.fixture
def bucket(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MountedBucket]:
    with mounted_bucket(tmp_path, **request.param) as mounted:
        yield mounted


@pytest.mark.parametrize("bucket", [HF_MOUNT, {**WORST, **LATE}], ids=["as hf-mount", "all at once"], indirect=True)
def test_kills_while_training_lose_no_checkpoint_that_was_called_saved(bucket: MountedBucket, whole: Run) -> None:
    run = create_run(bucket.folder / "runs", whole.spec)
    saved = train_and_be_killed(run, [60, 70])
    assert len({*saved}) == 2 and saved[-1] < 13, saved  # they came at different steps, and before the last
    done = train(run.root, "resume", run.id)
    assert done.returncode == 0, done.stderr
    there = open_run(bucket.store / "runs", run.id)  # a late mount shows it after a few looks
    assert there.status().state == "finished" and not (there.folder / "metrics.jsonl").exists()
    assert_same_weights(there, whole)
    figures = [(line["kind"], line["step"], line.get("kl")) for line in there.metrics()]
    assert figures == [(line["kind"], line["step"], line.get("kl")) for line in whole.metrics()]
    assert [epoch for epoch, _ in there.samples()] == [0, 1, 2]
    for (_, ours), (_, theirs) in zip(there.samples(), whole.samples(), strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_mount_that_ends_with_what_it_kept_back_leaves_a_checkpoint_to_go_on_from(tmp_path: Path, whole: Run) -> None:
    with mounted_bucket(tmp_path, keeps_back=True) as bucket:
        run = create_run(bucket.folder, whole.spec)
        (handed_over,) = train_and_be_killed(run, [60])
        bucket.hand_over()
        (kept_back,) = train_and_be_killed(run, [70])
        assert kept_back > handed_over > 0
        bucket.cut()
        bucket.mount(Behaviour())
        storage._probed.clear()
        loaded = run.checkpoints.load_newest()
        assert loaded is not None and handed_over <= loaded.step < kept_back
        assert train(run.root, "resume", run.id).returncode == 0
        assert_same_weights(run, whole)


def test_files_that_cannot_be_sent_are_told_of_and_the_run_goes_on_from_what_was_saved(
    tmp_path: Path, whole: Run
) -> None:
    troubles = {
        "*/samples/00001.png*": "The pictures of epoch 1 could not be written",
        "*/metrics/*": "The metrics of the run could not be written",
        "*/checkpoints/*.pt*": "The checkpoint of step 14 could not be written",
        "*/result/unet/*.safetensors*": "The finetuned model could not be written",
        "*/status.json*": "The status of the run could not be written",
    }
    with mounted_bucket(tmp_path) as bucket:
        run = create_run(bucket.folder, whole.spec)
        for pattern, sentence in troubles.items():
            bucket.fail_once(pattern)
            done = train(run.root, "resume", run.id)
            assert done.returncode != 0 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert train(run.root, "resume", run.id).returncode == 0
        assert_same_weights(run, whole)


def test_a_run_that_was_begun_on_a_disk_goes_on_in_a_bucket_and_back(tmp_path: Path, whole: Run) -> None:
    disk = tmp_path / "runs"
    run = create_run(disk, whole.spec)
    for _ in range(4):  # the fourth step is the first that has metrics
        train(disk, "resume", run.id, "--time-budget", "0.01")
    assert len(run.metrics()) == 1
    with mounted_bucket(tmp_path, **WORST) as bucket:
        subprocess.run(["cp", "-r", str(run.folder), str(bucket.folder)], check=True)
        assert train(bucket.folder, "resume", run.id, "--time-budget", "0.01").returncode == 4
        there = open_run(bucket.folder, run.id)
        assert there.status().step == 5 and len(there.metrics()) == 2 and not (there.folder / "metrics.jsonl").exists()
        subprocess.run(["cp", "-r", str(there.folder), str(tmp_path / "back")], check=True)
    back = Run(tmp_path / "back", "back", whole.spec, run.created)
    assert train(tmp_path, "resume", "back").returncode == 0
    assert_same_weights(back, whole)
    assert [(line["kind"], line["step"]) for line in back.metrics()] == [
        (line["kind"], line["step"]) for line in whole.metrics()
    ]


@pytest.mark.usefixtures("quick_leases")
def test_a_page_starts_and_stops_a_run_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hold.py").write_text(HOLD)
    monkeypatch.setattr(store, "TRAINER", (sys.executable, str(tmp_path / "hold.py")))
    with mounted_bucket(tmp_path, **WORST) as bucket:
        run = create_run(bucket.folder, SPEC)
        store.start_process(run)
        with pytest.raises(Busy):
            store.start_process(run)  # also before it has the lease
        wait_for(lambda: run.status().state == "running")
        assert current_run(bucket.folder) == run
        run.request_stop()
        wait_for(lambda: run.status().state == "stopped" and current_run(bucket.folder) is None)
        assert list_runs(bucket.folder) == [run] and not run.stop_requested()


def test_a_wish_to_stop_that_another_machine_puts_into_the_bucket_reaches_who_trains(
    tmp_path: Path, whole: Run
) -> None:
    with mounted_bucket(tmp_path) as bucket:
        run = create_run(bucket.folder / "runs", whole.spec)
        stop_at(bucket.folder, "*/samples/00000.png")
        process = begin(run.root, "resume", run.id)
        wait_for(lambda: (bucket.store / "runs" / run.id / "samples" / "00000.png").exists(), PATIENCE)
        (bucket.store / "runs" / run.id / "stop").write_text("stop\n")
        process.send_signal(signal.SIGCONT)
        process.communicate()
        assert process.returncode == 0 and (run.status().state, run.status().step) == ("stopped", 1)
        assert run.has_result() and train(run.root, "resume", run.id).returncode == 0
        assert_same_weights(run, whole)

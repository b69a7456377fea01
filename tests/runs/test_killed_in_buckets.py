"""What is written into a bucket is killed at each change of a file in turn, and handed over to the store one by one."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ddpo.common import storage
from ddpo.common.files import read_json, write_json
from ddpo.common.storage import Storage, probe
from ddpo.errors import UserError
from ddpo.runs import checkpoints
from ddpo.runs.checkpoints import CheckpointStore
from tests.helpers.object_store import MountedBucket, kill_at, mounted_bucket

BEHAVIOURS: dict[str, dict[str, Any]] = {
    "as hf-mount": {},
    "all at once": {"refuses": ("append", "rename", "fsync", "flock"), "late": 2},
}
LONG = "x" * 300_000  # more than the kernel hands over at once, so that a kill comes in between


@pytest.fixture(params=BEHAVIOURS)
def bucket(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MountedBucket]:
    monkeypatch.setattr(storage, "FIRST_PAUSE", 0.002)
    with mounted_bucket(tmp_path, **BEHAVIOURS[request.param]) as mounted:
        yield mounted


def until_it_survives(folder: Path, work: Callable[[], None], changes: int) -> Iterator[int]:
    """Do a work in forks, the first killed at the first change that it makes, and so on until one is left alive."""
    for change in range(1, changes):
        kill_at(folder, change)
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
        kill_at(folder, 0)
        yield change
        if process.exitcode == 0:
            return
        assert process.exitcode == -9, "it has ended in another way"
    raise AssertionError("it goes on changing files")


def test_a_small_file_is_whole_at_whichever_change_its_writer_is_killed(bucket: MountedBucket) -> None:
    path, how = bucket.folder / "status.json", probe(bucket.folder)
    write_json(path, {"number": 0, "text": LONG}, storage=how)
    seen, number = [0], 0

    def write() -> None:
        write_json(path, {"number": number + 1, "text": LONG}, storage=how)

    for _ in until_it_survives(bucket.folder, write, 60):
        found = {read_json(path)["number"] for _ in range(10)}  # a late bucket shows the old one first
        assert found <= {seen[-1], number + 1}
        number += 1
        seen.append(read_json(path)["number"])
    assert seen[-1] == number and seen[1] == 0 and number >= 5


def state(step: int) -> dict[str, Any]:
    """Small enough for torch to stay in one thread, as its threads are not there in a fork."""
    return {"step": step, "weights": [torch.full((20_000,), float(step)) for _ in range(4)]}


def save_telling(folder: Path, how: Storage, first: int, saying: int) -> None:
    store = CheckpointStore(folder, storage=how)
    for step in (first, first + 1):
        store.save(state(step), step, 1)
        os.write(saying, bytes([step]))


def test_a_checkpoint_that_was_called_saved_outlives_a_kill_at_whichever_change(
    bucket: MountedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SETTLE", 0.0)  # so that earlier ones are removed, and kills come there as well
    how, folder = probe(bucket.folder), bucket.folder / "checkpoints"
    found = 0
    said, saying = os.pipe()
    os.set_blocking(said, False)
    for _ in until_it_survives(bucket.folder, lambda: save_telling(folder, how, found + 1, saying), 90):  # noqa: B023, forked at once
        told = max(_read(said), default=0)
        loaded = CheckpointStore(folder, storage=how).load_newest()
        assert (loaded.step if loaded else 0) >= max(told, found), "a checkpoint was lost"
        if loaded is not None:
            found = loaded.step
            assert loaded.notice is None and all(map(torch.equal, loaded.state["weights"], state(found)["weights"]))
    os.close(said)
    os.close(saying)
    assert found > 5


@pytest.mark.parametrize("lost", ["*.pt*", "*.json*"])
def test_a_checkpoint_of_which_the_bucket_loses_a_file_is_not_called_saved(
    bucket: MountedBucket, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    store = CheckpointStore(bucket.folder / "checkpoints", storage=probe(bucket.folder))
    store.save(state(1), 1, 1)
    monkeypatch.setattr(storage, "PATIENCE", 0.3)
    monkeypatch.setattr(checkpoints, "STALE", 0.3)
    bucket.lose_once(lost)
    with pytest.raises(UserError, match="The checkpoint of step 2 could not be written"):
        store.save(state(2), 2, 1)
    loaded = store.load_newest()
    assert loaded is not None and loaded.step == 1


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, 100)
    except BlockingIOError:
        return b""


def test_the_store_holds_a_whole_checkpoint_at_every_moment_of_what_a_mount_hands_over(tmp_path: Path) -> None:
    with mounted_bucket(tmp_path, keeps_back=True) as bucket:
        how = probe(bucket.folder)
        store = CheckpointStore(bucket.folder / "checkpoints", storage=how)
        store.save(state(1), 1, 1)
        bucket.hand_over()
        for step in range(2, 6):
            store.save(state(step), step, 1)
        newest = []
        for _ in range(200):
            bucket.hand_over(1)
            loaded = CheckpointStore(bucket.store / "checkpoints", storage=Storage()).load_newest()
            assert loaded is not None
            newest.append(loaded.step)
        assert newest == sorted(newest) and {*newest} == {1, 2, 3, 4, 5}

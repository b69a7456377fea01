"""Checkpoints: damage, full disks, kills, and what is kept."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ddpo.errors import UserError
from ddpo.runs.checkpoints import CheckpointStore, load_checkpoint, save_checkpoint
from tests.helpers.small_disk import fill, make_read_only, small_disk


def state_of(step: int, size: int = 1000) -> dict[str, Any]:
    return {"weights": torch.full((size,), float(step)), "nested": {"names": ["a", "b"], "rng": torch.arange(5)}}


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    """Two checkpoints, of steps 10 and 20."""
    store = CheckpointStore(tmp_path / "checkpoints")
    store.save(state_of(10), step=10, epoch=1)
    store.save(state_of(20), step=20, epoch=2)
    return store


def pt(store: CheckpointStore, step: int) -> Path:
    return store.folder / f"{step:010d}.pt"


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def loaded_value(store: CheckpointStore) -> float:
    loaded = store.load_newest()
    assert loaded is not None and loaded.state["weights"].unique().numel() == 1
    assert loaded.state["weights"][0] == loaded.step
    return float(loaded.state["weights"][0])


def test_the_newest_comes_back_as_it_was_saved(store: CheckpointStore) -> None:
    loaded = store.load_newest("cpu")
    assert loaded is not None and (loaded.step, loaded.epoch, loaded.notice) == (20, 2, None)
    assert torch.equal(loaded.state["weights"], state_of(20)["weights"])
    assert loaded.state["nested"]["names"] == ["a", "b"] and torch.equal(loaded.state["nested"]["rng"], torch.arange(5))


def test_where_none_was_saved_there_is_none(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "nowhere").load_newest() is None


def test_the_last_ones_are_kept_and_nothing_beside_them(store: CheckpointStore) -> None:
    store.save(state_of(30), step=30, epoch=3)
    names = {path.name for path in store.folder.iterdir()}
    assert names == {"0000000020.pt", "0000000020.json", "0000000030.pt", "0000000030.json"}
    facts = json.loads((store.folder / "0000000030.json").read_text())
    assert facts["format"] == 1 and (facts["step"], facts["epoch"]) == (30, 3)
    assert facts["size"] == pt(store, 30).stat().st_size and len(facts["sha256"]) == 64


@pytest.mark.parametrize("how", ["truncated", "bit flipped", "emptied", "longer", "without checksum", "torn checksum"])
def test_a_damaged_one_is_passed_over_and_said_so(store: CheckpointStore, how: str) -> None:
    newest = pt(store, 20)
    if how == "bit flipped":
        flip_a_bit(newest)
    elif how == "without checksum":
        newest.with_suffix(".json").unlink()
    elif how == "torn checksum":
        newest.with_suffix(".json").write_text('{"format": 1, "sha2')
    else:
        content = newest.read_bytes()
        newest.write_bytes({"truncated": content[:-100], "emptied": b"", "longer": content + b"x"}[how])
    loaded = store.load_newest()
    assert loaded is not None and (loaded.step, loaded.epoch) == (10, 1)
    assert loaded.notice == "The checkpoint of step 20 is damaged; the run goes on from step 10, which is whole."
    assert torch.equal(loaded.state["weights"], state_of(10)["weights"])


def test_where_all_are_damaged_a_sentence_says_so(store: CheckpointStore) -> None:
    flip_a_bit(pt(store, 10))
    flip_a_bit(pt(store, 20))
    with pytest.raises(UserError, match=r"^The checkpoints of steps 20, 10 are damaged, .* start the run anew\.$"):
        store.load_newest()


def test_after_a_fall_back_the_damaged_one_is_gone_with_the_next_save(store: CheckpointStore) -> None:
    flip_a_bit(pt(store, 20))
    store.save(state_of(15), step=15, epoch=1)
    assert store.steps() == [10, 15]
    loaded = store.load_newest()
    assert loaded is not None and (loaded.step, loaded.notice) == (15, None)


def test_a_checkpoint_that_carries_code_is_not_run(store: CheckpointStore, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "owned"),)

    store.save({"weights": Hostile()}, step=30, epoch=3)
    loaded = store.load_newest()
    assert loaded is not None and loaded.step == 20 and "step 30 is damaged" in str(loaded.notice)
    assert not (tmp_path / "owned").exists()


def test_one_of_a_newer_version_is_refused_in_a_sentence(store: CheckpointStore) -> None:
    sidecar = pt(store, 20).with_suffix(".json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "format": 2}))
    with pytest.raises(UserError, match="newer version"):
        store.load_newest()


def test_a_step_saved_again_is_whole_before_and_after_it_is_put_in_place(store: CheckpointStore) -> None:
    old = pt(store, 20).read_bytes()
    store.save({**state_of(20), "more": torch.zeros(7)}, step=20, epoch=2)
    loaded = store.load_newest()
    assert loaded is not None and loaded.notice is None and "more" in loaded.state
    pt(store, 20).write_bytes(old)  # as a kill between the two files leaves it
    loaded = store.load_newest()
    assert loaded is not None and loaded.notice is None and "more" not in loaded.state


def test_a_full_disk_leaves_the_earlier_ones_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        store = CheckpointStore(disk / "checkpoints")
        store.save(state_of(1), step=1, epoch=1)
        store.save(state_of(2), step=2, epoch=2)
        before = {path.name: path.read_bytes() for path in store.folder.iterdir()}
        with pytest.raises(UserError, match=r"^The checkpoint of step 3 could not be .* is full; make room there\.$"):
            store.save(state_of(3, size=100_000), step=3, epoch=3)
        assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before
        assert loaded_value(store) == 2
        fill(disk)  # now there is no room even for the first byte
        with pytest.raises(UserError, match="is full"):
            store.save(state_of(3), step=3, epoch=3)
        assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before
        (disk / "filler").unlink()
        store.save(state_of(3), step=3, epoch=3)
        assert loaded_value(store) == 3


def test_a_folder_without_permission_is_told_in_a_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        store = CheckpointStore(disk / "checkpoints")
        store.save(state_of(1), step=1, epoch=1)
        make_read_only(disk)
        with pytest.raises(UserError, match="gives no permission"):
            store.save(state_of(2), step=2, epoch=2)
        assert loaded_value(store) == 1


def test_a_folder_that_is_a_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no folder"):
        CheckpointStore(tmp_path / "file" / "checkpoints").save(state_of(1), step=1, epoch=1)


def save_for_ever(store: CheckpointStore, first: int) -> None:
    torch.set_num_threads(1)
    for step in range(first, first + 100_000):
        store.save(state_of(step, size=50_000), step, step)
        store.save(state_of(step, size=50_000), step, step)  # again, as a run does that is stopped at once


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(store: CheckpointStore) -> None:
    rng, step = random.Random(0), 20
    for _ in range(10):
        process = multiprocessing.get_context("fork").Process(target=save_for_ever, args=(store, step + 1))
        process.start()
        time.sleep(rng.uniform(0.02, 0.2))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        loaded = store.load_newest()
        assert loaded is not None and loaded.notice is None and loaded.step >= step
        step = int(loaded_value(store))
    assert step > 20
    store.save(state_of(step + 1), step + 1, step + 1)
    assert len(list(store.folder.iterdir())) == 4  # what the kills left is cleared away


def test_a_single_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(state_of(1), path)
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint({"weights": lambda: None}, path)
    state = load_checkpoint(path)
    assert state is not None and state["weights"][0] == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["state.pt"]

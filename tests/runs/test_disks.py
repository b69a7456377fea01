"""Disks that are full, read-only or no folder at all are told of in a sentence, and spoil no run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpo.errors import UserError
from ddpo.runs.store import create_run, list_runs, training_lock
from tests.helpers.run_folders import SPEC
from tests.helpers.small_disk import fill, make_read_only, small_disk


def test_a_full_disk_spoils_nothing_and_can_still_be_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        run = create_run(disk / "runs", SPEC)
        run.append_metrics({"step": 1})
        fill(disk)
        with pytest.raises(UserError, match=r"^The metrics of the run could not be .* is full; make room there\.$"):
            run.append_metrics({"step": 2, "text": "x" * 5000})
        with pytest.raises(UserError, match="is full"):
            run.truncate_metrics(1)
        assert (run.folder / "metrics.jsonl").read_text() == '{"step": 1}\n'
        run.write_status(state="failed", error="The disk is full, " + "and that is a long story. " * 20)
        run.write_status(error="The disk is full.")
        assert (run.status().state, run.status().error) == ("failed", "The disk is full.")
        with pytest.raises(UserError, match="is full"):
            create_run(disk / "runs", SPEC)
        assert [entry.id for entry in list_runs(disk / "runs")] == [run.id]
        assert [path for path in disk.rglob("*") if path.suffix == ".part" or path.name.startswith(".2")] == []


def test_a_folder_without_permission_is_told_in_a_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        run = create_run(disk, SPEC)
        make_read_only(disk)
        for action in (
            lambda: create_run(disk, SPEC),
            lambda: run.write_status(step=1),
            lambda: run.append_metrics({"step": 1}),
            run.request_stop,
            training_lock(disk, run).__enter__,
        ):
            with pytest.raises(UserError, match="gives no permission"):
                action()


def test_a_root_below_a_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"is no folder; choose another one\.$"):
        create_run(tmp_path / "file" / "runs", SPEC)

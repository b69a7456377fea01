"""A folder of runs kept in order: names, notes and deletions, by the store and from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ddpo.cli.main import main
from ddpo.errors import Busy, UserError
from ddpo.runs import labels, removal, store
from ddpo.runs.labels import Label, label_of
from ddpo.runs.store import list_runs, training_lock
from tests.helpers.run_folders import make_run


def test_a_run_has_a_name_and_a_note_and_loses_them(tmp_path: Path) -> None:
    run = make_run(tmp_path, "stopped", 1)
    assert label_of(run) == Label() and not (run.folder / "label.json").exists()
    labels.rename(run, "  warm evenings ")
    labels.annotate(run, "Fog stays fog.\nTry again.")
    assert label_of(run) == Label("warm evenings", "Fog stays fog.\nTry again.")
    labels.rename(run, "")
    labels.annotate(run, "")
    assert label_of(run) == Label() and not (run.folder / "label.json").exists()


@pytest.mark.parametrize("name", ["x" * 81, "two\nlines", "a\0b", 7, None, ["x"], "\ud800"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: Any) -> None:
    run = make_run(tmp_path, "stopped", 1)
    with pytest.raises(UserError, match="The name of a run must"):
        labels.rename(run, name)
    assert label_of(run) == Label()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"name": 7}', b"\xff", b'{"name": "' + b"x" * 10 + b'"'])
def test_a_damaged_label_is_none(tmp_path: Path, content: bytes) -> None:
    run = make_run(tmp_path, "stopped", 1)
    (run.folder / "label.json").write_bytes(content)
    assert label_of(run) == Label() and list_runs(tmp_path) == [run]


def test_a_run_is_deleted_whole_and_never_while_it_trains(tmp_path: Path) -> None:
    run, other = make_run(tmp_path, "running", 2), make_run(tmp_path, "finished", 4)
    with training_lock(tmp_path, run), pytest.raises(Busy, match="trains; stop it first"):
        removal.delete(run)
    removal.delete(run)  # interrupted by now
    assert list_runs(tmp_path) == [other] and not list(tmp_path.glob(".deleted*")) and not run.folder.exists()


def test_what_a_kill_left_of_a_deletion_goes_with_the_next(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed", 0)
    left = make_run(tmp_path, "failed", 0)
    left.folder.rename(tmp_path / f"{removal.REMOVED}{left.id}")
    assert list_runs(tmp_path) == [run]
    removal.delete(run)
    assert not list(tmp_path.glob(".deleted*"))


def test_the_command_line_names_notes_and_deletes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, "finished", 4)

    def said(*arguments: str, code: int = 0) -> str:
        assert main([*arguments, "--root", str(tmp_path)]) == code
        captured = capsys.readouterr()
        return (captured.out + captured.err).strip()

    assert said("rename", "latest", "warm evenings") == f"The run {run.id} is now called 'warm evenings'."
    assert said("list").endswith("photographic  warm evenings")
    assert "no note" in said("note", run.id)
    assert said("note", run.id, "Fog stays fog.") == said("note", run.id) == "Fog stays fog."
    assert "at most 80 characters" in said("rename", run.id, "x" * 100, code=2)
    assert "--yes deletes without asking" in said("delete", run.id, code=2) and run.folder.is_dir()
    assert "There is no run" in said("delete", "latest", "--yes", code=2)
    assert said("delete", run.id, "--yes") == f"The run {run.id} is deleted." and not run.folder.exists()


def test_the_command_line_deletes_nothing_that_trains(tmp_path: Path) -> None:
    run = make_run(tmp_path, "running", 2)
    with training_lock(tmp_path, run):
        assert main(["delete", run.id, "--yes", "--root", str(tmp_path)]) == 3


def test_who_waits_is_told_since_when_and_not_of_an_unknown_time(tmp_path: Path) -> None:
    run = make_run(tmp_path, "running", 2)
    run.write_status(seconds_left=None)
    with training_lock(tmp_path, run), pytest.raises(Busy) as caught:
        store.check_idle(tmp_path)
    assert "unknown" not in str(caught.value) and " UTC, and cannot yet say how long it needs" in str(caught.value)

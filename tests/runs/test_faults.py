"""Faults while runs are started, trained and kept: each ends in a sentence, and loses nothing (docs/reliability.md)."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddpo.cli.main import main
from ddpo.cli.options import build_parser
from ddpo.common import memory
from ddpo.diffusion.models import save_model
from ddpo.errors import Busy, UserError
from ddpo.runs import store, worker
from ddpo.runs.folder import RunGone
from ddpo.runs.store import Run, RunSpec, check_idle, create_run, list_runs, start_process, training_lock
from ddpo.training.recipes import make_config
from ddpo.ui.shared.sentences import FULL, SHORT, sentence_for
from ddpo.ui.space.asker import Asker
from ddpo.ui.train import actions
from tests.helpers.run_folders import make_run
from tests.helpers.small_disk import fill, make_read_only, small_disk

TINY: dict[str, Any] = {
    "epochs": 2, "batches_per_epoch": 1, "batch_size": 2, "accumulation": 1, "sampling_steps": 3, "trained_steps": 1,
    "window": "random", "group_size": 1, "inner_epochs": 1, "kl_weight": 0.0, "diversity_floor": 0.0,
}  # fmt: skip


def tiny_run(root: Path, base: Path) -> Run:
    return create_run(root, RunSpec(None, str(base), "colourfulness", "quick", make_config(TINY)))


@given(st.floats(1e-9, 3e8))
def test_a_process_reads_every_time_budget_that_it_is_given(seconds: float) -> None:
    options = build_parser().parse_args(["resume", "latest", "--time-budget", repr(seconds)])
    assert options.time_budget == seconds


@pytest.mark.parametrize("text", ["1e999", "-1", "nan", "inf", "0", "0.0h", "٣", "9e400h", "1 2", ""])
def test_what_is_no_time_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["resume", "latest", f"--time-budget={text}"])
    assert capsys.readouterr().err.endswith(".\n")


@pytest.mark.parametrize("seconds", [2e6, 1234567.0, 1e-7, 0.25])
def test_a_long_and_a_tiny_budget_reach_the_process(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    told = tmp_path / "told.json"
    program = f"import json, sys; open({str(told)!r}, 'w').write(json.dumps(sys.argv[1:]))"
    monkeypatch.setattr(store, "TRAINER", (sys.executable, "-c", program))
    start_process(tiny_run(tmp_path / "runs", tiny_folder), seconds)
    deadline = time.monotonic() + 60
    while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert build_parser().parse_args(json.loads(told.read_text())).time_budget == seconds


@pytest.mark.parametrize("hours", [-30, -1, 1, 30])
def test_a_clock_that_jumps_while_a_run_starts_keeps_nobody_from_training(tmp_path: Path, hours: float) -> None:
    run = make_run(tmp_path, "starting", 0, started="2026-01-01T00:00:00+00:00")
    status = json.loads((run.folder / "status.json").read_text())
    moment = (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds")
    (run.folder / "status.json").write_text(json.dumps({**status, "updated": moment}))
    assert run.status().state == "interrupted"
    check_idle(tmp_path)


def test_a_run_whose_folder_is_removed_stops_and_does_not_come_back(tmp_path: Path, tiny_folder: Path) -> None:
    run = tiny_run(tmp_path, tiny_folder)
    with pytest.raises(RunGone, match="was removed while it trained"):
        worker.carry_out(run, on_step=lambda step: shutil.rmtree(run.folder))
    assert not run.folder.exists() and list_runs(tmp_path) == []
    check_idle(tmp_path)


def test_until_it_has_stopped_nothing_else_is_started(tmp_path: Path, tiny_folder: Path) -> None:
    run = tiny_run(tmp_path, tiny_folder)
    with training_lock(tmp_path, run):
        shutil.rmtree(run.folder)
        with pytest.raises(Busy, match="folder was removed"):
            check_idle(tmp_path)
        with pytest.raises(RunGone):
            run.write_status(state="failed")
    assert not run.folder.exists()


def test_a_disk_that_fills_while_the_result_is_written_leaves_no_half_of_it(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = save_model
    with small_disk(tmp_path / "disk", "4m") as disk:
        run = tiny_run(disk / "runs", tiny_folder)

        def on_full_disk(*arguments: Any) -> None:
            fill(disk)
            save(*arguments)

        monkeypatch.setattr(worker, "save_model", on_full_disk)
        with pytest.raises(UserError, match=r"The finetuned model could not be written, .* is full; make room"):
            worker.carry_out(run)
        assert not list(run.folder.glob("result*")) and not run.has_result()
        assert run.status().state == "failed" and "is full" in str(run.status().error)
        monkeypatch.setattr(worker, "save_model", save)
        with pytest.raises(UserError, match="is full"):  # told before the weights are begun
            worker.carry_out(run)
        (disk / "filler").unlink()
        assert worker.carry_out(run) == "finished" and run.has_result()


def test_too_little_memory_is_told_with_how_much_is_needed(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(tmp_path, tiny_folder)
    monkeypatch.setattr(memory, "free_memory", lambda: 64 << 20)
    with pytest.raises(UserError, match="needs about"):
        worker.carry_out(run)
    assert run.status().state == "failed" and "of memory" in str(run.status().error)


def test_an_allocation_that_fails_on_a_processor_is_no_surprise() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert memory.is_short(caught.value) and not memory.is_short(RuntimeError("sizes do not match"))
    assert "raise accumulation" in worker._sentence(caught.value)
    assert sentence_for(caught.value) == SHORT and sentence_for(MemoryError()) == SHORT


def test_ten_thousand_pictures_at_once_are_refused_before_a_run_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(memory, "free_memory", lambda: 16 << 30)
    with pytest.raises(
        UserError, match=r"This run needs about \d+\.\d GB of memory and 17\.2 GB are free; raise accum"
    ):
        actions.make_spec(Asker.OPERATOR, "church-64", None, "photographic", "quick", {"batch_size": 10_000})
    assert actions.make_spec(Asker.OPERATOR, "church-64", None, "photographic", "quick", {}).config.batch_size == 64


BAD_BASES: dict[str, Any] = {
    "weights": (lambda f: [path.unlink() for path in (f / "unet").glob("*.safetensors")], {}, "holds no weights"),
    "schedule": (lambda f: shutil.rmtree(f / "scheduler"), {}, "no noise schedule"),
    "bounds": (lambda f: (f / "unet" / "config.json").write_text('{"sample_size": 10000000}'), {}, "sample_size"),
    "timesteps": (
        lambda f: (f / "scheduler" / "scheduler_config.json").write_text('{"num_train_timesteps": 5}'), {}, "at most 5",
    ),
    "folder": (lambda f: shutil.rmtree(f), {}, "no folder"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_BASES)
def test_what_can_be_refused_leaves_no_run_behind(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
    base = Path(shutil.copytree(tiny_folder, tmp_path / "base"))
    change, values, words = BAD_BASES[what]
    change(base)
    with pytest.raises(UserError, match=words):
        actions.start(actions.make_spec(Asker.OPERATOR, "church-64", str(base), "photographic", "quick", values), None)
    arguments = ["--root", str(tmp_path / "runs"), "start", "--base", str(base), "--reward", "colourfulness"]
    assert main(arguments) == 2
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_runs_that_became_read_only_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("DDPO_RUNS", str(disk))
        run = make_run(disk, "stopped", 1)
        run.request_stop()
        make_read_only(disk)
        spec = actions.make_spec(Asker.OPERATOR, "church-64", None, "photographic", "quick", {})
        for action in (lambda: actions.start(spec, None), lambda: actions.resume(run, None), run.clear_stop):
            with pytest.raises(UserError, match="gives no permission"):
                action()


def test_a_full_folder_for_temporary_files_is_told_in_a_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        with pytest.raises(OSError) as caught:
            (disk / "a").write_bytes(bytes(100_000))
        assert sentence_for(caught.value) == FULL and str(disk) not in FULL


def test_an_export_to_a_full_disk_is_one_sentence(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "runs", "finished", 1, result=tiny_folder)
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        assert main(["--root", str(tmp_path / "runs"), "export", run.id, str(disk / "model")]) == 2
        assert not (disk / "model").exists()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "The model could not be written, because the disk" in told
    assert main(["--root", str(tmp_path / "runs"), "export", run.id, str(tmp_path / "there" / "model")]) == 0


def test_a_look_at_many_runs_reads_only_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    run = make_run(tmp_path, "finished", 0)
    for index in range(1200):
        folder = tmp_path / f"{run.id}-{index}"
        folder.mkdir()
        for name in ("run.json", "status.json"):
            os.link(run.folder / name, folder / name)
    assert len(list_runs(tmp_path)) == 1201 and actions.find(None) is not None
    read: list[Path] = []
    before = store._runs.read

    def count(path: Path) -> Run:
        read.append(path)
        return before(path)

    monkeypatch.setattr(store._runs, "read", count)
    assert len(list_runs(tmp_path)) == 1201 and actions.find(None) is not None
    assert not read

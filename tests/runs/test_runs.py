"""Run folders: what is written is never torn, and no id leads out of the root."""

from __future__ import annotations

import json
import math
import multiprocessing
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ddpo.common import storage
from ddpo.errors import UserError
from ddpo.runs import store
from ddpo.runs.store import Run, create_run, list_runs, open_run, training_lock
from tests.helpers.here import ROOT
from tests.helpers.run_folders import SPEC


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", SPEC)


def test_a_run_is_found_again_as_it_was_made(run: Run) -> None:
    found = open_run(run.root, run.id)
    assert found == run and found.spec == SPEC and [found] == list_runs(run.root)
    facts = json.loads((run.folder / "run.json").read_text())
    assert facts["format"] == 1 and facts["id"] == run.id and "photographic" in run.id
    assert {"python", "torch", "diffusers"} <= facts["versions"].keys()
    assert run.metrics() == [] and run.samples() == [] and not run.has_result()


def test_runs_are_listed_newest_first_and_other_things_are_passed_over(run: Run) -> None:
    time.sleep(0.002)
    second = create_run(run.root, replace(SPEC, reward="my.module:Reward"))
    (run.root / "notes").mkdir()
    (run.root / "damaged").mkdir()
    (run.root / "damaged" / "run.json").write_text('{"format": 1,')
    (run.root / "file").touch()
    assert [entry.id for entry in list_runs(run.root)] == [second.id, run.id]
    assert "my-module-reward" in second.id
    assert list_runs(run.root / "nowhere") == []


@pytest.mark.parametrize(
    "id", ["", ".", "..", "../runs", "/etc", "a/b", "a\\b", ".lock", "x\n", "a\0b", "~", "x" * 500, "nothing", None, 7]
)  # fmt: skip
def test_no_id_leads_out_of_the_root(run: Run, id: Any) -> None:
    (run.root.parent / "run.json").write_text((run.folder / "run.json").read_text())  # what ".." would lead to
    with pytest.raises(UserError, match=r"^There is no run .*\.$"):
        open_run(run.root, id)
    with pytest.raises(UserError, match="There is no run"):
        open_run(run.root, f"{run.id}/../{run.id}")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"format": 2}, "newer version"),
        ({"format": "one"}, "damaged"),
        ({"config": {"epochs": 0}}, "epochs must be at least 1"),
        ({"config": None}, "damaged"),
    ],
)
def test_a_damaged_description_is_told_in_a_sentence(run: Run, change: dict[str, Any], expected: str) -> None:
    path = run.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=expected) as caught:
        open_run(run.root, run.id)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_run_that_was_made_before_a_setting_was_added_can_still_be_opened(run: Run) -> None:
    path = run.folder / "run.json"
    facts = json.loads(path.read_text())
    assert facts["config"].pop("ema_decay") == 0.9 and facts["config"].pop("lora_rank") == 8
    path.write_text(json.dumps(facts))
    assert open_run(run.root, run.id).spec.config == replace(SPEC.config, ema_decay=0.0)
    assert [entry.id for entry in list_runs(run.root)] == [run.id]


def test_a_config_with_a_typo_is_told_by_its_name(run: Run) -> None:
    path = run.folder / "run.json"
    path.write_text(path.read_text().replace('"kl_weight"', '"kl_wieght"'))
    with pytest.raises(UserError, match="kl_weight"):
        open_run(run.root, run.id)


def test_the_status_changes_field_by_field(run: Run) -> None:
    assert run.status().state == "starting" and run.status().epochs == SPEC.config.epochs
    run.write_status(state="stopped", step=12, seconds_left=math.inf)
    run.write_status(notice="A notice.")
    status = run.status()
    assert (status.state, status.step, status.seconds_left, status.notice) == ("stopped", 12, None, "A notice.")
    with pytest.raises(TypeError):
        run.write_status(stat="stopped")
    with pytest.raises(ValueError, match="state cannot be 'asleep'"):
        run.write_status(state="asleep")


def test_without_a_process_a_run_counts_as_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.write_status(state="running", epoch=3)
    assert (run.status().state, run.status().epoch) == ("interrupted", 3)
    assert json.loads((run.folder / "status.json").read_text())["state"] == "running"
    with training_lock(run.root, run):
        assert run.status().state == "running"
        other = create_run(run.root, SPEC)
        other.write_status(state="running")
        assert other.status().state == "interrupted"  # the lock is another run's
    run.write_status(state="starting")
    assert run.status().state == "starting"  # its process may be on its way to the lock
    monkeypatch.setattr("ddpo.runs.folder.START_GRACE", 0.0)
    assert run.status().state == "interrupted"
    (run.folder / "status.json").write_text('{"state": "runn')
    assert run.status().state == "interrupted"


def write_statuses(run: Run, count: int) -> None:
    for number in range(count):
        run.write_status(epoch=number, step=number, notice="x" * (number % 50) * 100)


def test_a_status_is_never_seen_half_written(run: Run) -> None:
    run.write_status(epoch=0, step=0)
    writer = multiprocessing.get_context("fork").Process(target=write_statuses, args=(run, 300))
    writer.start()
    seen = set()
    while writer.is_alive():
        facts = json.loads((run.folder / "status.json").read_bytes())
        assert facts["epoch"] == facts["step"]
        seen.add(facts["epoch"])
    writer.join()
    assert writer.exitcode == 0 and len(seen) > 10 and run.status().step == 299
    assert {path.name for path in run.folder.iterdir()} == {"run.json", "status.json"}


def test_metrics_are_lines_that_a_reader_gets_whole(run: Run) -> None:
    run.append_metrics({"kind": "update", "step": 1, "kl": math.nan})
    run.append_metrics({"kind": "epoch", "step": 2, "epoch": 1, "reward_quantiles": (1.0, 2.0, math.inf)})
    assert run.metrics() == [
        {"kind": "update", "step": 1, "kl": None},
        {"kind": "epoch", "step": 2, "epoch": 1, "reward_quantiles": [1.0, 2.0, None]},
    ]


def test_an_epoch_is_read_whatever_version_wrote_it_and_a_damaged_one_is_left_out(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.append_metrics({"kind": "epoch", "step": 2, "epoch": 1, "reward_quantiles": (1.0, 2.0, math.inf)})
    run.append_metrics({"kind": "epoch", "step": 4, "epoch": 2, "kl": "much"})
    run.append_metrics({"kind": "epoch", "step": 6, "epoch": 3, "kl": 0.5, "from_a_later_version": True})
    first, third = run.epochs()
    assert (first.epoch, first.step, first.reward_weight) == (1, 2, 1.0) and math.isnan(first.kl)
    assert first.reward_quantiles[:2] == (1.0, 2.0) and math.isnan(first.reward_quantiles[2])
    assert (third.epoch, third.kl) == (3, 0.5)
    assert "kl cannot be 'much'" in caplog.text


def test_a_status_that_is_damaged_says_interrupted(run: Run) -> None:
    path = run.folder / "status.json"
    for damaged in ('{"state": "asleep"}', '{"state": "finished", "step": "many"}', "[]", ""):
        path.write_text(damaged)
        assert run.status().state == "interrupted" and run.status().epochs == run.spec.config.epochs
    path.write_text('{"state": "finished", "epoch": 2}')  # an earlier version's, with less in it
    assert (run.status().state, run.status().epoch, run.status().error) == ("finished", 2, None)


def test_what_was_read_once_is_read_again_only_where_a_file_has_changed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.append_metrics({"kind": "epoch", "step": 1, "epoch": 1})
    assert [epoch.epoch for epoch in run.epochs()] == [1] and list_runs(run.root) == [run]
    read: list[Path] = []
    read_bytes = Path.read_bytes

    def count(path: Path) -> bytes:
        read.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", count)
    assert [epoch.epoch for epoch in run.epochs()] == [1] and list_runs(run.root) == [run] and read == []
    run.append_metrics({"kind": "epoch", "step": 2, "epoch": 2})
    assert [epoch.epoch for epoch in run.epochs()] == [1, 2] and read == []  # its end alone
    run.truncate_metrics(1)
    assert [epoch.epoch for epoch in run.epochs()] == [1]
    run.epochs().clear()
    assert len(run.epochs()) == 1
    path = run.folder / "run.json"
    path.write_text(path.read_text().replace('"photographic"', '"colourfulness"'))
    assert open_run(run.root, run.id).spec.reward == "colourfulness"
    path.unlink()
    (run.folder / "metrics.jsonl").unlink()
    assert list_runs(run.root) == [] and run.epochs() == []


@pytest.mark.parametrize("torn", [b'{"kind": "epoch", "st', b'{"step": 3}', b"\xff\xfe\0"])
def test_a_torn_last_line_is_left_out_and_does_not_spoil_the_next(run: Run, torn: bytes) -> None:
    run.append_metrics({"step": 1})
    run.append_metrics({"step": 2})
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    assert run.metrics() == [{"step": 1}, {"step": 2}]
    run.truncate_metrics(2)
    assert (run.folder / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    run.append_metrics({"step": 4})
    assert [line["step"] for line in run.metrics()][-1] == 4 and len(run.metrics()) >= 3


def test_metrics_are_cut_back_to_the_step_that_training_goes_on_from(run: Run) -> None:
    run.truncate_metrics(5)
    assert run.metrics() == []
    for step in range(1, 11):
        run.append_metrics({"kind": "update", "step": step})
    run.truncate_metrics(7)
    assert [line["step"] for line in run.metrics()] == list(range(1, 8))
    run.append_metrics({"kind": "update", "step": 8})
    assert [line["step"] for line in run.metrics()] == list(range(1, 9))


def test_samples_are_in_order_and_a_result_is_one_that_can_be_loaded(run: Run) -> None:
    (run.folder / "samples").mkdir()
    for name in ("00010.png", "00000.png", "00002.png", "notes.txt", "00003.png.1234.part", "x.png"):
        (run.folder / "samples" / name).touch()
    assert [epoch for epoch, _ in run.samples()] == [0, 2, 10]
    run.result.mkdir()
    assert not run.has_result()
    (run.result / "model_index.json").touch()
    assert run.has_result()


def test_a_stop_is_asked_for_seen_and_forgotten(run: Run) -> None:
    assert not run.stop_requested()
    run.request_stop()
    run.request_stop()
    assert open_run(run.root, run.id).stop_requested()
    run.clear_stop()
    run.clear_stop()
    assert not run.stop_requested()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "runs"), ({"DDPO_RUNS": "/somewhere/else"}, "/somewhere/else"), ({"SPACE_ID": "me/space"}, "runs")],
)
def test_the_root_is_where_the_environment_says(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mounts").touch()
    monkeypatch.setattr(storage, "MOUNTS", tmp_path / "mounts")  # a bucket of another test may be mounted here
    for name in ("DDPO_RUNS", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert store.runs_root() == Path(expected)


def test_nothing_slow_is_imported() -> None:
    code = (
        "import sys, ddpo.runs.store, ddpo.runs.diagnosis; "
        "print(sorted({'torch', 'diffusers', 'gradio'} & sys.modules.keys()))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout == "[]\n"

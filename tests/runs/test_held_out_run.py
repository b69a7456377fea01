"""Whole runs that look at held-out seeds: killed and in slices of time, told of, and with the best as their result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ddpo.cli.main import main
from ddpo.runs import fixed_seeds, worker
from ddpo.runs.store import Run, RunSpec, create_run, open_run
from ddpo.training import held_out
from ddpo.training.events import StepDone
from ddpo.training.recipes import make_config
from tests.helpers.run_folders import SHORTEST
from tests.helpers.trainer_command import assert_same_weights

CONFIG = make_config(
    {
        **SHORTEST, "epochs": 3, "learning_rate": 3e-3, "ema_decay": 0.0, "eval_seeds": 4, "eval_steps": 2,
        "eval_share": 1.0, "keep": "best",
    }
)  # fmt: skip


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_PRECISION", "float32")
    monkeypatch.setattr(fixed_seeds, "STEPS", 1)
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(worker, "CHECKPOINT_SHARE", 1e9)


def make(root: Path, base: Path) -> Run:
    return create_run(root, RunSpec(None, str(base), "colourfulness", "quick", CONFIG))


class CutOffError(BaseException):
    """Ends a run as a kill does: nothing more is saved."""


def cut_off(run: Run, step: int) -> None:
    """Train until a step is done, and no further."""

    def end(event: StepDone) -> None:
        if event.step >= step:
            raise CutOffError

    with pytest.raises(CutOffError):
        worker.carry_out(run, on_step=end)


def curve(run: Run) -> list[dict[str, object]]:
    return [{**each.as_dict(), "seconds": 0.0} for each in run.evaluations()]


def test_killed_and_sliced_runs_come_to_the_same_curve_and_the_same_best(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, killed = make(tmp_path / "whole", tiny_folder), make(tmp_path / "killed", tiny_folder)
    assert worker.carry_out(whole) == "finished"
    for step in (1, 5, 6, 9):  # the base was seen, the first epoch was, in the next, the second epoch was
        cut_off(killed, step)
    assert worker.carry_out(killed, time_budget=0.01) == "out of time"
    assert worker.carry_out(killed) == "finished"
    assert [each.epoch for each in whole.evaluations()] == [0, 1, 2, 3]
    assert curve(killed) == curve(whole)
    assert_same_weights(killed, whole)
    assert killed.result_facts().epoch == whole.result_facts().epoch
    assert killed.metrics()[-1]["kind"] == "evaluation" and whole.status().step == whole.status().steps == 13

    best = max(whole.evaluations(), key=lambda each: each.reward_mean)
    assert (whole.result_facts().epoch, whole.result_facts().step) == (best.epoch, best.step)
    assert main(["--root", str(whole.root), "status", whole.id]) == 0
    assert capsys.readouterr().out.startswith("On 4 held-out seeds (ddim, 2 steps), after epoch 3: ")
    assert main(["--root", str(whole.root), "status", whole.id, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["held_out"]
    assert told["best"]["epoch"] == best.epoch and told["last"]["epoch"] == 3


def test_a_run_that_has_lost_its_diversity_is_finished_and_says_why(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spreads = iter([1.0, 0.9, 0.5])  # of the base, and after two epochs
    monkeypatch.setattr(held_out, "spread", lambda descriptions: next(spreads))
    config = replace(CONFIG, stop_diversity=0.8, keep="last", epochs=9)
    run = create_run(tmp_path, RunSpec(None, str(tiny_folder), "colourfulness", "quick", config))
    assert worker.carry_out(run) == "finished"
    status = run.status()
    assert (status.state, status.epoch, status.step, status.steps) == ("finished", 2, 9, 9)
    assert "50% of the base's diversity, and stop_diversity is 0.8." in str(status.notice)
    assert run.result_facts().epoch == 2


def test_a_folder_without_a_curve_opens_and_a_damaged_line_is_left_out(tmp_path: Path, tiny_folder: Path) -> None:
    run = make(tmp_path, tiny_folder)
    assert open_run(tmp_path, run.id).evaluations() == []
    whole = {"kind": "evaluation", "format": 1, "step": 1, "epoch": 0, "seeds": 4, "reward_mean": 1.0}
    run.append_metrics(whole, {**whole, "format": 2, "step": 2}, {**whole, "epoch": "x", "step": 3})
    assert [each.step for each in run.evaluations()] == [1]

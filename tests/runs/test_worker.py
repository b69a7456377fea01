"""Whole runs through train_space.py: killed at any moment, stopped, out of time, failing, on two processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline
from safetensors.torch import load_file

import ddpo.runs.worker as worker
from ddpo.publish.card import write_card
from ddpo.runs.store import Run, create_run, training_lock
from ddpo.training.events import StepDone
from ddpo.training.trainer import Trainer
from tests.helpers.forks import Forked, begin, train, train_and_be_killed_at_random, train_in_two
from tests.helpers.trainer_command import TINY, assert_same_weights, only_run, start, weights
from tests.helpers.waiting import wait_for


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def whole(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole")
    done = start(root, tiny_folder)
    assert done.returncode == 0, done.stderr
    return only_run(root)


def test_a_finished_run_leaves_its_metrics_its_pictures_and_a_pipeline(whole: Run, tiny_folder: Path) -> None:
    status = whole.status()
    assert (status.state, status.epoch, status.step, status.steps) == ("finished", 3, 21, 21)
    assert [epoch.epoch for epoch in whole.epochs()] == [1, 2, 3]
    assert [line["step"] for line in whole.metrics() if line["kind"] == "update"] == [
        *range(4, 8),
        *range(11, 15),
        *range(18, 22),
    ]
    assert all(epoch.first_ratio_deviation == 0 for epoch in whole.epochs())
    assert [epoch for epoch, _ in whole.samples()] == [0, 1, 2, 3]
    picture = DDPMPipeline.from_pretrained(whole.result)(num_inference_steps=2).images[0]
    assert picture.size == (16, 16)
    before = load_file(tiny_folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert any(not torch.equal(before[name], after) for name, after in weights(whole).items())


def test_twenty_kills_at_random_moments_change_nothing(whole: Run, root: Path) -> None:
    create_run(root, whole.spec)
    run = only_run(root)
    train_and_be_killed_at_random(run, 20)
    done = train(root, "resume", run.id)
    assert done.returncode == 0, done.stderr
    assert_same_weights(run, whole)
    steps = [(line["kind"], line["step"]) for line in run.metrics()]
    assert steps == [(line["kind"], line["step"]) for line in whole.metrics()]
    timing = ("seconds", "samples_per_second")
    for ours, theirs in zip(run.metrics(), whole.metrics(), strict=True):
        assert {k: v for k, v in ours.items() if k not in timing} == {
            k: v for k, v in theirs.items() if k not in timing
        }


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(whole: Run, root: Path) -> None:
    create_run(root, whole.spec)
    run = only_run(root)
    process = begin(root, "resume", run.id)
    wait_for(lambda: run.status().step >= 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0 and f"resume {run.id}" in out and "Traceback" not in out + err
    assert run.status().state == "stopped" and 2 <= run.status().step < 21 and run.has_result()
    assert train(root, "resume", "latest").returncode == 0
    assert_same_weights(run, whole)


def test_a_run_in_slices_of_time_ends_like_one_in_one_go(whole: Run, root: Path) -> None:
    create_run(root, whole.spec)
    run = only_run(root)
    codes: list[int] = []
    for _ in range(20):
        # So short a time is up after the first step: every slice does one, and the checkpoint is inside of it.
        done = train(root, "resume", run.id, "--time-budget", "0.01" if len(codes) < 4 else "1h")
        codes.append(done.returncode)
        if done.returncode != 4:
            break
        assert run.status().step == len(codes) and run.status().state == "stopped"
    assert codes == [4, 4, 4, 4, 0]
    assert_same_weights(run, whole)


def test_two_processes_end_like_one_with_twice_the_batch(root: Path, tiny_folder: Path) -> None:
    rate = ["--learning-rate", "1e-4"]  # at ten times that, Adam makes as much more of a rounding error
    assert start(root / "one", tiny_folder, *rate).returncode == 0
    halved = [*TINY]
    halved[halved.index("--batch-size") + 1] = "2"
    arguments = ["start", "--base", tiny_folder, "--reward", "colourfulness", *halved, *rate]
    done = train_in_two(root / "two", *arguments)
    assert done.returncode == 0, done.stderr
    two, one = only_run(root / "two"), only_run(root / "one")
    assert_same_weights(two, one, tolerance=1e-5)
    ours, theirs = two.epochs()[-1], one.epochs()[-1]
    assert ours.reward_mean == pytest.approx(theirs.reward_mean, abs=1e-3)
    assert ours.samples == theirs.samples == 24


def test_tensorboard_gets_the_curve(whole: Run, root: Path) -> None:
    done = start(root, Path(whole.spec.base), "--epochs", "1", "--log-with", "tensorboard")
    assert done.returncode == 0, done.stderr
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(root / "trackers" / only_run(root).id))
    events.Reload()
    assert len(events.Scalars("reward_mean")) == 1


def test_a_damaged_checkpoint_is_told_of_and_costs_only_what_came_after_the_one_before(whole: Run, root: Path) -> None:
    create_run(root, whole.spec)
    run = only_run(root)
    for _ in range(2):
        train(root, "resume", run.id, "--time-budget", "0.01")
    newest = max((run.folder / "checkpoints").glob("*.pt"))
    os.truncate(newest, newest.stat().st_size // 2)
    train(root, "resume", run.id, "--time-budget", "0.01")
    assert run.status().step == 2
    assert train(root, "resume", run.id).returncode == 0
    assert_same_weights(run, whole)


def test_a_second_run_is_told_which_one_is_training(whole: Run, root: Path) -> None:
    create_run(root, whole.spec)
    run = only_run(root)
    with training_lock(root, run):
        done = start(root, Path(whole.spec.base))
    assert done.returncode == 3 and run.id in done.stderr and "Traceback" not in done.stderr
    assert only_run(root).id == run.id  # no run is left behind that never trained


def test_a_finished_run_is_not_begun_again(whole: Run) -> None:
    lines = whole.metrics()
    done = train(whole.root, "resume", whole.id)
    assert done.returncode == 2 and "is finished" in done.stderr and whole.metrics() == lines


def test_a_result_is_described_as_it_was_made_whatever_was_trained_since(whole: Run, root: Path) -> None:
    create_run(root, whole.spec)
    run = only_run(root)
    assert train(root, "resume", run.id, "--time-budget", "0.01").returncode == 4
    assert run.result_facts().step == 1 and "**Trained:** 0 epochs of 3" in write_card(run)
    shutil.copytree(whole.folder, run.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("result*", "run.json"))
    assert len(run.epochs()) == 3 and run.result_epochs() == [] and "**Trained:** 0 epochs of 3" in write_card(run)


def test_a_finished_run_is_compared_with_its_base_on_seeds_that_it_never_drew(whole: Run) -> None:
    facts = whole.result_facts()
    assert (facts.epoch, facts.step) == (3, 21) and facts.statistics is not None and facts.statistics.n == 8
    card = write_card(whole)
    assert "## Compared with the base, seed by seed" in card and "Over 8 seeds" in card


def be_cut_off_when_it_scores(run: Run) -> int:
    def cut_off(*arguments: object) -> None:
        raise KeyboardInterrupt

    Trainer._score = cut_off  # type: ignore[assignment, method-assign]
    worker.carry_out(run, time_budget=600)
    return 0


def test_a_step_of_a_kind_that_is_new_is_not_begun_without_a_checkpoint(whole: Run, root: Path) -> None:
    create_run(root, whole.spec)
    run = only_run(root)
    Forked(be_cut_off_when_it_scores, run).communicate()
    loaded = run.checkpoints.load_newest("cpu")
    assert loaded is not None and loaded.step == 2 and set(loaded.state["longest_steps"]) == {"sample"}


def go_on_in_bfloat16(run: Run) -> int:
    os.environ["DDPO_PRECISION"] = "bfloat16"

    def tell_and_stop(event: StepDone) -> None:
        print(run.status().notice)
        run.request_stop()

    worker.carry_out(run, on_step=tell_and_stop)
    return 0


def test_another_precision_is_told_of(whole: Run, root: Path) -> None:
    create_run(root, whole.spec)
    run = only_run(root)
    assert train(root, "resume", run.id, "--time-budget", "0.01").returncode == 4
    out, _ = Forked(go_on_in_bfloat16, run).communicate()
    assert "It was begun on cpu, float32 and is continued on cpu, bfloat16" in out
    assert only_run(root) == run


def test_list_status_and_export_tell_of_a_run(whole: Run, tmp_path: Path) -> None:
    listed = train(whole.root, "list").stdout
    assert whole.id in listed and "finished" in listed
    status = json.loads(train(whole.root, "status", whole.id, "--json").stdout)
    assert status["epoch"] == 3 and status["state"] == "finished" and status["diagnosis"]["sentence"]
    target = tmp_path / "exported"
    assert train(whole.root, "export", "latest", target).returncode == 0
    assert DDPMPipeline.from_pretrained(target).unet.config.sample_size == 16
    again = train(whole.root, "export", "latest", target)
    assert again.returncode != 0 and "already" in again.stderr

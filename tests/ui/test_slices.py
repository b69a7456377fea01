"""Training in slices, as ZeroGPU needs it; here on the CPU, where a slice borrows nothing."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ddpo.common import locks
from ddpo.errors import UserError
from ddpo.runs.folder import lock_path
from ddpo.runs.store import Run, RunSpec, create_run, current_run
from ddpo.runs.worker import carry_out
from ddpo.training.config import TrainConfig
from ddpo.training.recipes import make_config
from ddpo.ui.space import slices
from ddpo.ui.space.zero_gpu import NoGpu
from tests.helpers.training_calls import assert_whole

CONFIG: TrainConfig = make_config(
    {
        "epochs": 3, "batches_per_epoch": 2, "batch_size": 4, "accumulation": 1, "sampling_steps": 4,
        "trained_steps": 2, "window": "random", "group_size": 1, "inner_epochs": 2, "ema_decay": 0.5,
        "kl_weight": 0.1, "learning_rate": 1e-3,
    },
    "quick",
)  # fmt: skip
STEPS = 21


@pytest.fixture(autouse=True)
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_PRECISION", "float32")


def new_run(root: Path, model: Path) -> Run:
    return create_run(root, RunSpec(None, str(model), "colourfulness", "quick", CONFIG))


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.result / "unet" / "diffusion_pytorch_model.safetensors")


def started(run: Run) -> list[str]:
    """The states that a page sees, until the run has come to rest."""
    states, deadline = [run.status().state], time.monotonic() + 120
    while time.monotonic() < deadline:
        state = run.status().state
        if state != states[-1]:
            states.append(state)
        if state not in ("starting", "running") and current_run(run.root) is None:
            return states
        time.sleep(0.005)
    raise AssertionError(f"still {run.status()}")


def test_a_slice_for_every_step_ends_with_the_weights_of_a_run_in_one_go(tmp_path: Path, tiny_folder: Path) -> None:
    whole, sliced = new_run(tmp_path / "whole", tiny_folder), new_run(tmp_path / "sliced", tiny_folder)
    assert carry_out(whole) == "finished"
    slices.carry_on(sliced, None, slice_budget=0.0)
    status = sliced.status()
    assert (status.state, status.step, status.steps, status.error, status.notice) == (
        "finished", STEPS, STEPS, None, None,
    )  # fmt: skip
    one, other = weights(whole), weights(sliced)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert_whole(sliced)
    steps = [(line["kind"], line["step"]) for line in sliced.metrics()]
    assert steps == [(line["kind"], line["step"]) for line in whole.metrics()]


def test_a_page_sees_one_run_that_goes_on(tmp_path: Path, tiny_folder: Path) -> None:
    run = new_run(tmp_path, tiny_folder)
    slices.start(run)
    with pytest.raises(UserError, match=f"The run {run.id} has been training"):
        slices.start(new_run(tmp_path, tiny_folder))
    assert started(run) in (["starting", "running", "finished"], ["starting", "finished"])


def test_a_stop_between_two_slices_is_heeded_and_the_run_resumed(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real, calls = new_run(tmp_path, tiny_folder), slices.train_slice, []

    def then_stop(root: Path, run_id: str, seconds: float) -> str:
        outcome = real(root, run_id, seconds)
        calls.append(run.status().state)
        if len(calls) == 2:
            run.request_stop()  # after the slice, and before the next
        return outcome

    monkeypatch.setattr(slices, "train_slice", then_stop)
    slices.carry_on(run, None, slice_budget=0.0)
    status = run.status()
    assert (status.state, status.step, calls) == ("stopped", 2, ["running", "running"])
    assert run.has_result() and not run.stop_requested() and current_run(tmp_path) is None
    slices.carry_on(run, None, slice_budget=60.0)
    assert run.status().state == "finished"


def test_the_time_budget_is_for_all_slices_together(tmp_path: Path, tiny_folder: Path) -> None:
    run = new_run(tmp_path, tiny_folder)
    slices.carry_on(run, time_budget=0.3, slice_budget=0.0)
    status = run.status()
    assert status.state == "stopped" and status.notice == "The time was up; resume it to go on."
    assert 1 <= status.step < STEPS and run.has_result()


def test_a_gpu_that_is_not_lent_stops_the_run_and_says_so(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, tiny_folder)

    def refused(root: Path, run_id: str, seconds: float) -> str:
        raise NoGpu("ZeroGPU quota exceeded: try again in 1:00:00.")

    monkeypatch.setattr(slices, "train_slice", refused)
    slices.carry_on(run, None, slice_budget=1.0)
    status = run.status()
    assert status.state == "stopped" and status.error is None
    assert status.notice == "ZeroGPU quota exceeded: try again in 1:00:00. Resume the run to go on."


def test_what_goes_wrong_in_a_slice_stands_in_the_status(tmp_path: Path, tiny_folder: Path) -> None:
    run = new_run(tmp_path, tmp_path / "nothing-here")
    slices.carry_on(run, None, slice_budget=1.0)
    assert run.status().state == "failed" and "nothing-here" in str(run.status().error)


def test_a_run_whose_app_has_ended_is_interrupted_and_resumable(tmp_path: Path, tiny_folder: Path) -> None:
    run = new_run(tmp_path, tiny_folder)
    app = multiprocessing.get_context("spawn").Process(target=slices.carry_on, args=(run, None, 0.0))
    app.start()
    deadline = time.monotonic() + 240
    while run.status().step < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    app.kill()
    app.join()
    assert run.status().state == "interrupted"
    slices.carry_on(run, None, slice_budget=60.0)
    assert run.status().state == "finished"
    assert_whole(run)


def test_a_fork_does_not_hold_the_lock_on(tmp_path: Path) -> None:
    handle = locks.acquire(lock_path(tmp_path), {"id": "a"})
    fork = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
    fork.start()
    try:
        assert locks.holder(lock_path(tmp_path)) == {"id": "a"}
        locks.release(handle)
        assert locks.holder(lock_path(tmp_path)) is None
    finally:
        fork.kill()
        fork.join()


@pytest.mark.parametrize("value", ["soon", "10", "nan", "inf", "-60"])
def test_a_length_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_SLICE_SECONDS", value)
    with pytest.raises(UserError, match=f"^DDPO_SLICE_SECONDS must be a number from 30, and '{value}' is not"):
        slices.slice_seconds()
    monkeypatch.setenv("DDPO_SLICE_SECONDS", "")
    assert slices.slice_seconds() == 60

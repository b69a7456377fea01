"""What ZeroGPU allows and what is asked of it: the facts, the plans, and the lines beside the buttons."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.church256 import build_ddpm_256
from ddpo.common import lent_gpu
from ddpo.comparison.settings import ComparisonSettings
from ddpo.diffusion.network import CHURCH_64, DDPM_256
from ddpo.runs.estimate import gpu_seconds
from ddpo.runs.gpu_plan import Slice, plan_rest, plan_run
from ddpo.runs.pairs import get_pair
from ddpo.runs.store import RunSpec
from ddpo.training.recipes import RECIPES, make_config
from ddpo.ui import score
from ddpo.ui.compare import tab
from ddpo.ui.compare.run import comparison_seconds
from ddpo.ui.space import quota, slices, zero_gpu
from ddpo.ui.train import actions, views
from ddpo.ui.train import form as train_form
from tests.helpers.run_folders import make_run

client = pytest.importorskip("spaces.zero.client")  # while this is no ZeroGPU, as it changes torch there
config = pytest.importorskip("spaces.zero.config")

CHURCH_256 = get_pair("church-256-aesthetic")
BLACKWELL = 1.5  # seconds that `spaces` asks for instead of one


@pytest.fixture(autouse=True)
def space(monkeypatch: pytest.MonkeyPatch) -> None:
    """On ZeroGPU, as far as that can be seen without its package."""
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(zero_gpu, "duration_factor", lambda: BLACKWELL)
    monkeypatch.setattr(zero_gpu, "set_aside", {CHURCH_256.base, CHURCH_256.tuned})


def profile(**facts: Any) -> gr.OAuthProfile:
    return gr.OAuthProfile({"name": "A", "preferred_username": "a", "profile": "", "picture": "", **facts})


def words(line: str) -> str:
    return re.sub("<[^>]*>", "", line)


def test_the_work_of_church_256_is_as_counted() -> None:
    with torch.device("meta"):
        unet = build_ddpm_256().eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            unet(torch.empty(1, 3, 256, 256), torch.empty(1))
    assert counter.get_total_flops() == pytest.approx(lent_gpu.FLOP_OF_DDPM_256, rel=1e-2)
    weights = sum(weight.numel() for weight in unet.parameters())
    assert 4 * weights / 1e6 == pytest.approx(lent_gpu.MEGABYTES_OF_DDPM_256, rel=1e-2)
    assert gpu_seconds(DDPM_256, 1, 8) == pytest.approx(8 * 0.00994, rel=1e-2)
    assert gpu_seconds(CHURCH_64, 1, 8) == lent_gpu.LAUNCH_SECONDS


@pytest.mark.parametrize("model", ["NVIDIA H200", "NVIDIA RTX PRO 6000 Blackwell Server Edition"])
@pytest.mark.parametrize("seconds", [0.3, 9.2, 52.0, 1000.0])
def test_what_is_said_is_what_the_package_asks_for(model: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(config, "_read_gpu_information", lambda: f"Model: \t {model}\n")
    config.get_config.cache_clear()
    try:
        duration = timedelta(seconds=zero_gpu._duration(seconds))
        asked = round(client.get_duration_seconds(duration, None))
        assert zero_gpu.asked(seconds) == asked
        assert lent_gpu.SECONDS_TO_BEGIN + seconds - 0.5 <= asked <= lent_gpu.SECONDS_TO_BEGIN + seconds + 2
    finally:
        config.get_config.cache_clear()


def test_a_comparison_of_church_256_fits_a_quota_without_an_account_several_times() -> None:
    settings = ComparisonSettings(CHURCH_256.name, scorer="photographic", steps=50, samples=8)
    needed = comparison_seconds(settings)
    assert needed == pytest.approx(2 * gpu_seconds(DDPM_256, 50, 8) + 2 * 8 * 256**2 / lent_gpu.PIXELS_SCORED)
    asked = zero_gpu.asked(needed)
    assert asked <= needed + lent_gpu.SECONDS_TO_BEGIN + BLACKWELL
    assert lent_gpu.NOBODY.seconds // asked >= 6


def test_what_was_not_set_aside_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ComparisonSettings(CHURCH_256.name, scorer="laion-v2", samples=1)
    set_aside = comparison_seconds(settings)
    monkeypatch.setattr(zero_gpu, "set_aside", set())
    megabytes = 2 * lent_gpu.MEGABYTES_OF_DDPM_256
    assert comparison_seconds(settings) == pytest.approx(set_aside + megabytes / lent_gpu.MEGABYTES_READ)


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (None, "A day allows it 6 times without an account, 16 with a free account and 133 with PRO or Team."),
        (profile(isPro=False), "A day allows it 16 times with a free account."),
        (profile(isPro=True), "A day allows it 133 times with PRO or Team."),
        (profile(), "A day allows it 16 times with a free account and 133 with PRO or Team."),
        (profile(isPro=False, orgs=[{"name": "b"}]), "A day allows it 16 times with a free account and 133 with PRO"),
    ],
)
def test_the_line_tells_what_is_known_of_the_visitor(who: gr.OAuthProfile | None, allowed: str) -> None:
    line = quota.call_line(10.0, who)
    assert words(line).startswith("Up to 18 s of GPU. ") and allowed in line
    assert "huggingface.co" in line  # on hovering: whose quota it is


def test_more_than_a_day_allows_is_said_before_the_button_is_pressed() -> None:
    line = words(quota.call_line(142.0, None))
    assert line == (
        "Up to 150 s of GPU. That is more than a day allows without an account. "
        "A day allows it 2 times with a free account and 16 with PRO or Team."
    )
    assert words(quota.call_line(5000.0, profile(isPro=True))).endswith("more than a day allows with PRO or Team.")


def test_elsewhere_there_is_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU")
    with gr.Blocks() as demo:
        line = quota.build("cost")
        quota.follow(line, [gr.Number(1)], lambda number: "costs")
    assert not line.visible and demo.fns == {}


def test_settings_that_cannot_be_compared_or_scored_cost_nothing() -> None:
    values = dict.fromkeys(tab.FIELDS) | {"pair": "church-64", "scheduler": "ddim", "scorer": "photographic"}
    assert "s of GPU" in tab._cost(None, *values.values())
    assert tab._cost(None, *(values | {"pair": "cathedral"}).values()) == ""
    assert tab._cost(None, *(values | {"base": "/nowhere", "pair": "own", "tuned": "x"}).values()) == ""
    assert score._cost(None, None, "beauty", "", "") == ""
    assert "s of GPU" in score._cost(None, None, "photographic", "", "")


# Runs in slices -------------------------------------------------------------------------------------------------------

EACH = Slice(60, 40.0)


def test_a_run_takes_as_many_slices_as_its_epochs_need() -> None:
    plan = plan_run(make_config({"epochs": 12}, "zerogpu"), DDPM_256, EACH, 455)
    whole = plan.first_seconds + 12 * plan.epoch_seconds
    assert plan.usable < 40 and (plan.slices - 1) * plan.usable < whole <= plan.slices * plan.usable
    assert plan.epochs_in(plan.slices) == 12 and plan.epochs_in(0) == 0
    assert 0 < plan.epochs_in(1) < plan.epochs_in(2) < 12
    twice = plan_run(make_config({"epochs": 24}, "zerogpu"), DDPM_256, EACH, 455)
    assert twice.epoch_seconds == plan.epoch_seconds and twice.slices > plan.slices


def test_what_is_left_is_told_from_what_the_run_has_measured() -> None:
    plan = plan_run(make_config({"epochs": 12}, "zerogpu"), DDPM_256, EACH, 455)
    rest = plan_rest(plan, 4, 40.0)
    assert rest.measured and rest.epochs == 8 and rest.epoch_seconds == 10
    assert plan_rest(plan, 0, 0.0) == plan
    line = words(quota.run_line(rest, profile(isPro=False), begun=True))
    assert line.startswith(f"About {rest.slices} slices more of 60 s of GPU, by its epochs so far.")


def test_a_step_that_no_slice_has_room_for_is_told() -> None:
    plan = plan_run(RECIPES["paper"].config, DDPM_256, EACH, 455)
    assert not plan.fits
    assert re.search(r"A step .* about \d+ s .* a slice of 60 s leaves \d+ s .* batch_size", quota.run_line(plan, None))


def test_the_recipe_for_church_256_is_planned_into_240_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDPO_SLICE_SECONDS", raising=False)
    recipe = RECIPES["zerogpu"]
    plan = slices.plan(RunSpec(CHURCH_256.name, CHURCH_256.base, "photographic", recipe.name, recipe.config))
    assert plan.fits and plan.each.seconds == 60
    assert plan.slices * plan.each.seconds <= 240 < lent_gpu.FREE.seconds
    line = words(quota.run_line(plan, None))
    assert f"About {plan.slices} slices of 60 s of GPU" in line and "all of it with a free account." in line
    held = lent_gpu.NOBODY.seconds // 60
    assert f"{held} without an account, about {plan.epochs_in(held)} of {plan.epochs} epochs" in line


def test_the_train_tab_tells_it_for_its_controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    monkeypatch.setenv("DDPO_SLICE_SECONDS", "60")
    with gr.Blocks():
        form = train_form.build()
    assert form.recipe.value == "zerogpu"
    values = [control.value for control in form.values]
    assert "of GPU" in train_form.told(None, None, *values)
    values[form.values.index(form.minutes)] = -1
    assert "time budget" in train_form.told(None, None, *values)


def test_a_run_without_a_gpu_is_told_of_once_and_one_that_waits_has_no_process(tmp_path: Path) -> None:
    run = make_run(tmp_path, "stopped", 0, notice="ZeroGPU quota exceeded: Try again later. Resume the run to go on.")
    assert views.status_card(actions.look_at(run)).count("Resume") == 1
    run.write_status(state="starting", started=datetime.now(UTC).isoformat(), notice=None)
    card = views.status_card(actions.look_at(run))
    assert "It waits for a GPU" in card and "process" not in card

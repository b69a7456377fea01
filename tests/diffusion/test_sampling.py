"""Sampling: a picture depends on its seed alone, and is the one that diffusers draws."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler

from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample, sample_pictures
from ddpo.diffusion.schedulers import SCHEDULERS, create_scheduler, get_scheduler
from ddpo.errors import UserError
from tests.helpers.here import ROOT


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_same_seed_gives_same_image_in_any_batch(
    tiny_model: DiffusionModel, compute: Compute, scheduler: str, eta: float
) -> None:
    together = sample_pictures(tiny_model, list(range(16)), scheduler, 10, compute, eta)
    alone = sample_pictures(tiny_model, [7], scheduler, 10, compute, eta)
    elsewhere = sample_pictures(tiny_model, [3, 1, 7], scheduler, 10, compute, eta)
    for other in (alone[0], elsewhere[2]):
        assert (together[7] - other).abs().max() * 127.5 <= 2
    assert (together[7] - together[8]).abs().max() > 0.1  # and other seeds give other images


def test_a_picture_is_the_one_of_diffusers_own_pipeline(tiny_model: DiffusionModel, compute: Compute) -> None:
    pipeline = DDIMPipeline(tiny_model.unet, DDIMScheduler.from_config(tiny_model.scheduler_config))
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(generator=torch.Generator().manual_seed(5), num_inference_steps=10, output_type="np").images[0]
    ours = sample_pictures(tiny_model, [5], "ddim", 10, compute)[0].permute(1, 2, 0) / 2 + 0.5
    assert abs(ours.numpy() - theirs).max() < 1e-3


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_takes_its_fewest_steps(tiny_model: DiffusionModel, compute: Compute, scheduler: str) -> None:
    pictures = sample_pictures(tiny_model, [0], scheduler, SCHEDULERS[scheduler].min_steps, compute)
    assert torch.isfinite(pictures).all()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_bad_numbers_of_steps_are_refused_in_a_sentence(tiny_model: DiffusionModel, scheduler: str) -> None:
    for steps in (0, -3, 10_000, 2.5):
        with pytest.raises(UserError, match="steps"):
            create_scheduler(get_scheduler(scheduler), tiny_model.scheduler_config, steps)  # type: ignore[arg-type]


def test_the_models_own_noise_schedule_is_honoured_whichever_scheduler_is_picked(tiny_model: DiffusionModel) -> None:
    own = {"beta_end": 0.015, "num_train_timesteps": 500, "prediction_type": "v_prediction"}
    where_known = {"clip_sample": False, "variance_type": "fixed_large"}
    for name in SCHEDULERS:
        scheduler = create_scheduler(get_scheduler(name), {**tiny_model.scheduler_config, **own, **where_known}, 10)
        assert {key: scheduler.config[key] for key in own} == own
        known = {key for key in where_known if key in inspect.signature(type(scheduler)).parameters}
        assert {key: scheduler.config[key] for key in known} == {key: where_known[key] for key in known}
        assert "clip_sample" in known or name not in ("ddpm", "ddim", "heun")
        assert "variance_type" in known or name != "ddpm"


def test_variance_type_and_clipping_change_what_ddpm_draws(tiny_model: DiffusionModel, compute: Compute) -> None:
    drawn = []
    for changes in ({}, {"variance_type": "fixed_large"}, {"clip_sample": False}):
        model = replace(tiny_model, scheduler_config={**tiny_model.scheduler_config, **changes})
        *_, last = sample(model, [0], get_scheduler("ddpm"), 10, compute)
        drawn.append(last.x_t)
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_betas_that_a_config_does_not_name_are_ddpms(tiny_model: DiffusionModel) -> None:
    config = {key: value for key, value in tiny_model.scheduler_config.items() if "beta" not in key}
    for name in SCHEDULERS:
        scheduler = create_scheduler(get_scheduler(name), config, 10)
        assert (scheduler.config.beta_start, scheduler.config.beta_end) == (1e-4, 0.02)


def test_sampling_reports_every_step_and_can_be_stopped_between_two(
    tiny_model: DiffusionModel, compute: Compute
) -> None:
    run = sample(tiny_model, [0, 1], get_scheduler("ddim"), 5, compute)
    first = next(run)
    assert (first.step, first.total) == (1, 5) and first.x_0.abs().max() <= 1
    run.close()
    assert [state.step for state in sample(tiny_model, [0], get_scheduler("ddim"), 5, compute)] == [1, 2, 3, 4, 5]


def test_the_steps_that_are_called_enough_are_those_that_were_measured() -> None:
    results = ROOT / "benchmarks" / "results" / "schedulers.json"
    if not results.exists():
        assert not any(spec.enough for spec in SCHEDULERS.values())  # nothing is claimed that was not measured
        return
    found = json.loads(results.read_text(encoding="utf-8"))
    measured = {name: steps if steps != 50 else None for name, steps in found["enough"].items()}
    assert {name: spec.enough for name, spec in SCHEDULERS.items()} == measured and found["seeds"] >= 64

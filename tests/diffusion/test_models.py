"""Loading: both layouts, what diffusers itself loads, and every wrong folder in a sentence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from diffusers import DDPMPipeline

from ddpo.diffusion.models import DiffusionModel, ModelCache, load_model, save_model
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from tests.helpers.models import edit_config, make_unet, same_weights


def test_both_layouts_load_the_same_model(tiny_folder: Path, tmp_path: Path, compute: Compute) -> None:
    for part in ("unet", "scheduler"):
        for file in (tiny_folder / part).iterdir():
            shutil.copy(file, tmp_path / file.name)
    folders, root = load_model(str(tiny_folder), compute), load_model(str(tmp_path), compute)
    assert same_weights(folders.unet, root.unet)
    assert folders.scheduler_config["prediction_type"] == root.scheduler_config["prediction_type"] == "v_prediction"


def test_diffusers_loads_what_we_save(tiny_folder: Path, compute: Compute) -> None:
    pipeline = DDPMPipeline.from_pretrained(tiny_folder)
    assert same_weights(pipeline.unet, load_model(str(tiny_folder), compute).unet)


def test_a_saved_model_does_not_tell_where_it_was_loaded_from(
    tiny_folder: Path, tmp_path: Path, compute: Compute
) -> None:
    model = load_model(str(tiny_folder), compute)
    save_model(model.unet, model.scheduler_config, tmp_path / "copy", torch.float16)
    for file in (tmp_path / "copy").rglob("*.json"):
        assert str(tiny_folder) not in file.read_text()


def test_the_cache_loads_a_model_once(tiny_folder: Path, compute: Compute) -> None:
    cache = ModelCache(size=1)
    assert cache.get(str(tiny_folder), compute) is cache.get(str(tiny_folder), compute)


def test_the_cache_sees_that_a_folder_was_written_again(tiny_folder: Path, tmp_path: Path, compute: Compute) -> None:
    cache, folder = ModelCache(), tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    before = cache.get(str(folder), compute)
    save_model(make_unet(seed=1), before.scheduler_config, folder, torch.float32)
    assert not same_weights(before.unet, cache.get(str(folder), compute).unet)


@pytest.mark.parametrize("scheduler", ["DDPM", "DDIM", "PNDM", "DPMSolverMultistep", "UniPCMultistep", "EulerDiscrete"])
def test_a_model_saved_with_any_scheduler_of_betas_loads(
    tiny_folder: Path, tmp_path: Path, compute: Compute, scheduler: str
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    own = getattr(diffusers, f"{scheduler}Scheduler")(beta_end=0.015)
    own.save_pretrained(folder / "scheduler")
    model = load_model(str(folder), compute)
    assert torch.allclose(model.noise_schedule.alphas_cumprod, own.alphas_cumprod.float())


BREAKAGES = {
    "no such folder": (lambda f: shutil.rmtree(f), "no folder"),
    "empty folder": (lambda f: _remove_parts(f), "no diffusion model"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json is missing"),
    "not JSON": (lambda f: (f / "unet" / "config.json").write_text("{"), "not valid JSON"),
    "a list": (lambda f: (f / "unet" / "config.json").write_text("[]"), "does not hold a configuration"),
    "truncated": (lambda f: _truncate(next((f / "unet").glob("*.safetensors"))), "damaged"),
    "conditional": (lambda f: edit_config(f, _class_name="UNet2DConditionModel"), "only unconditional"),
    "classes": (lambda f: edit_config(f, num_class_embeds=10), "conditioned on classes"),
    "latent": (lambda f: edit_config(f, in_channels=4, out_channels=4), "latent"),
}


def _remove_parts(folder: Path) -> None:
    for part in ("unet", "scheduler"):
        shutil.rmtree(folder / part)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_folder_that_is_no_model_is_refused_in_a_sentence(
    tiny_folder: Path, tmp_path: Path, compute: Compute, breakage: str
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    damage, words = BREAKAGES[breakage]
    damage(folder)  # type: ignore[no-untyped-call]
    with pytest.raises(UserError, match=words):
        load_model(str(folder), compute)


def test_the_noise_schedule_thresholds_where_sampling_does(tiny_model: DiffusionModel) -> None:
    config = {**tiny_model.scheduler_config, "thresholding": True, "dynamic_thresholding_ratio": 0.9}
    assert replace(tiny_model, scheduler_config=config).noise_schedule.thresholding == (0.9, 1.0)
    assert tiny_model.noise_schedule.thresholding is None

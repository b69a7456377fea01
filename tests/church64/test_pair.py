"""The bundled pair as it ships, and the code that rebuilds it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline
from safetensors.torch import load_file

from ddpo import rewards
from ddpo.church64 import build, card
from ddpo.church64.build import BUNDLE, COLLAPSE, COLLAPSE_REWARD, FINETUNE, PRETRAINING, REWARD
from ddpo.church64.fidelity import FIRST_SCENE, appearance
from ddpo.church64.figures import read_figures, write_figures
from ddpo.church64.scenes import Scene, draw_scene, draw_scenes
from ddpo.common.files import write_json
from ddpo.common.statistics import paired_statistics
from ddpo.diffusion.catalogue import PAIRS
from ddpo.diffusion.models import load_model, save_model
from ddpo.diffusion.pictures import from_uint8, tile, to_uint8
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.diffusion.sampling import sample_pictures
from ddpo.errors import UserError
from ddpo.training.diversity import diversity_kept
from ddpo.training.recipes import make_config

# As it ships ----------------------------------------------------------------------------------------------------------


def test_the_files_are_small_enough_for_a_space() -> None:
    sizes = [file.stat().st_size for file in BUNDLE.rglob("*") if file.is_file()]
    assert max(sizes) < 10e6 and sum(sizes) < 20e6
    for model in ("base", "tuned"):
        weights = load_file(BUNDLE / model / "unet" / "diffusion_pytorch_model.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float16}


def test_diffusers_loads_both_models() -> None:
    for folder in (PAIRS["church-64"].base, PAIRS["church-64"].tuned):
        assert DDPMPipeline.from_pretrained(folder).unet.config.sample_size == 64


@pytest.fixture(scope="module", params=["ddim", "pndm"])
def drawn(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """Pictures (N, 64, 64, 3) uint8 of one scheduler: 32 of the base, and of the first 16 seeds those of the tuned.

    In the precision that the app chooses, as they are a visitor's.
    """
    compute = choose_compute()
    return {
        name: to_uint8(
            sample_pictures(
                load_model(str(BUNDLE / name), compute), list(range(60_000, 60_000 + count)), request.param, 10, compute
            )
        )
        for name, count in (("base", 32), ("tuned", 16))
    }


def test_the_finetuned_model_is_better_and_still_diverse(compute: Compute, drawn: dict[str, np.ndarray]) -> None:
    """A sample of what results.json has for 256 seeds: other seeds, fewer steps, and looser bounds for both reasons."""
    pictures = [from_uint8(drawn[name][:16]) for name in ("base", "tuned")]
    score = rewards.load(REWARD, compute)
    statistics = paired_statistics(*(score(batch).tolist() for batch in pictures))
    assert statistics.gain_in_sd is not None and statistics.gain_in_sd > 0.7
    assert statistics.interval_low is not None and statistics.interval_low > 0
    assert statistics.win_rate > 0.7
    assert diversity_kept(pictures[1], pictures[0]) > 0.6


def test_the_base_keeps_the_colours_of_the_scenes(drawn: dict[str, np.ndarray]) -> None:
    """Neither grey nor burnt, which is how epsilon prediction fails under deterministic samplers."""
    base, scenes = appearance(drawn["base"]), appearance(draw_scenes(FIRST_SCENE, 400))
    np.testing.assert_allclose(base["rgb"], scenes["rgb"], atol=0.08)  # 32 pictures: 2.5 standard errors are 0.08
    assert base["contrast"] == pytest.approx(scenes["contrast"], rel=0.25)
    assert base["saturation"] == pytest.approx(scenes["saturation"], rel=0.35)


def test_the_card_says_what_was_measured() -> None:
    results = read_figures(BUNDLE / "results.json")
    written = (BUNDLE / "README.md").read_text(encoding="utf-8")
    pretraining = read_figures(PRETRAINING)
    assert written == card.render(results, pretraining, FINETUNE, COLLAPSE, COLLAPSE_REWARD)


def test_figures_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    write_figures(tmp_path / "figures.json", {"steps": 3})
    assert read_figures(tmp_path / "figures.json") == {"steps": 3}
    write_json(tmp_path / "figures.json", {"format": 2, "steps": 3})
    with pytest.raises(UserError, match=r"newer version of this program; update it\.$"):
        read_figures(tmp_path / "figures.json")


# How it is made -------------------------------------------------------------------------------------------------------


def test_a_scene_is_a_function_of_its_seed() -> None:
    np.testing.assert_array_equal(draw_scene(7), draw_scene(7))
    assert not np.array_equal(draw_scene(7), draw_scene(8))
    scenes = draw_scenes(3, 2)
    assert scenes.shape == (2, 64, 64, 3) and scenes.dtype == np.uint8
    np.testing.assert_array_equal(scenes[1], draw_scene(4))


def test_about_a_third_of_the_scenes_are_dull() -> None:
    moods = [Scene(seed).name for seed in range(2000)]
    assert sum(mood in ("overcast", "fog") for mood in moods) / len(moods) == pytest.approx(0.34, abs=0.04)


def test_the_grid_shows_every_picture_in_its_place() -> None:
    pictures = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    sheet = tile(pictures, columns=2, gap=2)
    assert sheet.shape == (18, 18, 3)
    assert [int(sheet[y, x, 0]) for y in (0, 10) for x in (0, 10)] == [0, 1, 2, 3] and sheet[9, 9, 0] == 255


# The stages -----------------------------------------------------------------------------------------------------------


def test_a_release_without_a_pretraining_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build.main(["release", "--work", str(tmp_path)]) == 1
    assert f"There is no pretraining in {tmp_path}" in capsys.readouterr().err


def test_the_newest_release_takes_the_place_of_the_base(
    tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was finetuned from another base is not gone on with."""
    assets = tmp_path / "assets"
    shutil.copytree(BUNDLE / "base", assets / "base")
    monkeypatch.setattr(build, "BUNDLE", assets)
    monkeypatch.setattr(build, "PRETRAINING", assets / "pretraining.json")
    before = build._base()
    for steps in (100, 900):
        folder = tmp_path / "work" / f"branch-{steps}"
        model = load_model(str(BUNDLE / "tuned"), compute)
        model.unet.conv_in.bias.data += steps
        save_model(model.unet, model.scheduler_config, folder / "model", torch.float16)
        write_json(folder / "chosen.json", {"steps": steps})
    build.install(tmp_path / "work", compute)
    assert read_figures(assets / "pretraining.json") == {"steps": 900}
    assert load_model(str(assets / "base"), compute).unet.conv_in.bias.mean() > 500
    assert build._base() != before


def test_the_command_of_the_card_has_the_settings_that_the_pair_was_made_with() -> None:
    results, pretraining = read_figures(BUNDLE / "results.json"), read_figures(PRETRAINING)
    for config in (FINETUNE, replace(FINETUNE, kl_weight=0.2, shift_timesteps=False)):
        text = card.render(results, pretraining, config, COLLAPSE, COLLAPSE_REWARD)
        command = re.search(r"python train_space\.py start(?P<options>(?:.*\\\n)*.*)", text)
        assert command is not None
        words = shlex.split(command["options"].replace("\\\n", " "))
        options = {
            name.removeprefix("--").replace("-", "_"): value
            for name, value in zip(words[::2], words[1::2], strict=True)
        }
        assert (options.pop("pair"), options.pop("reward")) == ("church-64", REWARD)
        assert make_config(options, options.pop("recipe")) == config


def test_the_card_shows_how_close_both_models_are_to_clear_weather() -> None:
    results = read_figures(BUNDLE / "results.json")
    results["schedulers"]["ddim"]["clear_weather"] = {
        "base": {"distance": 98.4, "standard_error": 7.3},
        "tuned": {"distance": 85.0, "standard_error": 8.0},
    }
    text = card.render(results, read_figures(PRETRAINING), FINETUNE, COLLAPSE, COLLAPSE_REWARD)
    assert "| DDIM | 98 ± 7 | 85 ± 8 |" in text


def test_the_card_shows_the_fidelity_once_it_is_measured() -> None:
    results = json.loads((BUNDLE / "results.json").read_text(encoding="utf-8"))
    figures = json.loads((BUNDLE.parents[1] / "benchmarks/results/church64-fidelity.json").read_text(encoding="utf-8"))
    drawings, base = (figures["rows"][name] for name in ("held-out drawings", "base of 144,000 pictures, DDIM 50"))
    results["fidelity"] = drawings
    for row in results["schedulers"].values():
        row["fidelity"] = {"base": base, "tuned": base}
    facts = json.loads(PRETRAINING.read_text(encoding="utf-8"))
    text = card.render(results, facts, FINETUNE, COLLAPSE, COLLAPSE_REWARD)
    assert "samples.png" in text and "| base, DDIM 50 | 64 | 411.9 ± 52.2 |" in text and "| tower |" in text

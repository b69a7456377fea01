"""Settings: checked once, by name, wherever they come from."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any

import pytest

from ddpo.errors import UserError
from ddpo.training.config import TrainConfig, settings
from ddpo.training.recipes import RECIPES, config_from_dict, get_recipe, make_config

DRAFT = {"algorithm": "draft", "window": "random", "group_size": 1, "kl_weight": 0.0, "diversity_floor": 0.0}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": "many"}, "epochs must be a whole number"),
        ({"eta": 7.0}, "eta must be at least 0 and at most 1"),
        ({"eta": 0.0}, "eta must be above 0: without noise there is no policy"),
        ({"ema_decay": 1.0}, "ema_decay must be at least 0 and below 1"),
        ({"algorithm": "ppo"}, "algorithm must be one of ddpo-is, ddpo-sf, rwr, draft"),
        ({"gradient_checkpointing": "perhaps"}, "gradient_checkpointing must be true or false"),
        ({"trained_steps": 20, "sampling_steps": 20}, "the last step of a trajectory is deterministic"),
        ({"window": "random", "group_size": 4}, "group_size above 1 needs window"),
        ({"window": "sliding", "sampling_steps": 10, "trained_steps": 2, "window_first": 8}, "window_first"),
        ({"batch_size": 10, "accumulation": 4}, "batch_size"),
        ({"algorithm": "rwr", "kl_weight": 0.1}, "set diversity_floor to 0, window to random"),
        ({"rwr_weights": "best"}, "rwr_weights is a setting of algorithm rwr"),
        ({"kl_weight": 0.0}, "diversity_floor to 0"),
        ({"output_penalty": 1.0}, "are settings of algorithm draft"),
        ({"noisings": 1}, "are settings of algorithm draft"),
        ({"truncation": "random"}, "are settings of algorithm draft"),
        ({"penalty_on": "noise"}, "are settings of algorithm draft"),
        ({"algorithm": "draft"}, "set window to random, group_size to 1 and kl_weight to 0"),
        ({**DRAFT, "trained_steps": 17}, "trained_steps (17) must be at most sampling_steps (16)"),
        ({**DRAFT, "trained_steps": 2, "noisings": 1}, "noisings (1) are of the last step alone"),
        ({**DRAFT, "diversity_floor": 0.9}, "needs an output_penalty above 0"),
        ({"algorithm": "ddpo-sf", "inner_epochs": 2}, "inner_epochs"),
    ],
)
def test_a_wrong_setting_gets_one_sentence_that_names_it(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        make_config(wrong)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_draft_takes_all_steps_and_no_noise() -> None:
    assert make_config({**DRAFT, "trained_steps": 16, "eta": 0.0}).losses_of_a_part == 1
    assert make_config({**DRAFT, "noisings": 2, "output_penalty": 2.0, "diversity_floor": 0.9}).losses_of_a_part == 3


def test_texts_stand_for_the_values_that_they_spell() -> None:
    config = make_config({"epochs": "7", "learning_rate": "3e-5", "gradient_checkpointing": "true"}, "paper")
    assert (config.epochs, config.learning_rate, config.gradient_checkpointing) == (7, 3e-5, True)
    assert config.sampling_steps == RECIPES["paper"].config.sampling_steps


def test_whole_floats_are_whole_numbers_and_other_floats_are_not() -> None:
    assert TrainConfig(epochs=3.0).epochs == 3  # type: ignore[arg-type]  # as JavaScript sends them
    assert isinstance(TrainConfig(epochs=3.0).epochs, int)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="epochs must be a whole number"):
        TrainConfig(epochs=2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RECIPES)
def test_a_config_survives_being_written_and_read(name: str) -> None:
    config = get_recipe(name).config
    assert config_from_dict(asdict(config)) == config


def test_a_setting_that_is_missing_takes_its_default_and_not_a_recipes() -> None:
    config = get_recipe("quick").config
    assert config.ema_decay != TrainConfig().ema_decay and config.epochs != TrainConfig().epochs
    written = {name: value for name, value in asdict(config).items() if name not in ("ema_decay", "seed")}
    assert config_from_dict(written) == replace(config, ema_decay=TrainConfig().ema_decay)
    assert config_from_dict({}) == TrainConfig()


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UserError, match="'kl_wieght'; did you mean 'kl_weight'"):
        config_from_dict({**asdict(TrainConfig()), "kl_wieght": 0.1})


def test_every_setting_explains_itself_in_a_line() -> None:
    for setting in settings():
        assert setting.help and "\n" not in setting.help and setting.default == getattr(TrainConfig(), setting.name)


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="quick, fast, short, zerogpu, paper"):
        get_recipe("slow")


def test_the_settings_are_there_without_torch() -> None:
    code = "import sys, ddpo.training.config; assert 'torch' not in sys.modules and 'gradio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch_size": 2.5}, {"eta": 0.0}, {"eta": 7.0}, {"kl_weight": -1.0}, {"learning_rate": math.nan},
     {"ema_decay": 1.0}, {"trained_steps": 20}, {"sampling_steps": 1}],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_its_name(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        TrainConfig(**wrong)  # type: ignore[arg-type]

"""Recipes: settings that are known to work, under a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any

from ddpo.common.words import shown
from ddpo.errors import UserError
from ddpo.training.config import TrainConfig, settings


@dataclass(frozen=True)
class Recipe:
    """Settings that are known to work, under a name."""

    name: str
    title: str
    description: str  # one sentence: how long it takes on what, and what for
    config: TrainConfig


_QUICK = TrainConfig(
    epochs=20, batches_per_epoch=4, batch_size=64, accumulation=2, sampling_steps=16, shift_timesteps=True, eta=0.5,
    trained_steps=1, window="sliding", window_first=1, window_last=8, group_size=4, clip_range=1e-3, kl_weight=0.2,
    diversity_floor=0.9, learning_rate=1.2e-4, final_learning_rate=0.1, ema_decay=0.9,
)  # fmt: skip

_RWR = TrainConfig(
    algorithm="rwr", epochs=10, batches_per_epoch=80, batch_size=128, accumulation=16, sampling_steps=50, eta=0.0,
    trained_steps=1, inner_epochs=5, learning_rate=1e-5, weight_decay=1e-4, warmup_epochs=0,
)  # fmt: skip

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "quick",
            "Quick",
            "Eight minutes on two CPU cores with a small model.",
            _QUICK,
        ),
        Recipe(
            "fast",
            "Fast, by the reward's gradient",
            "Three minutes on two CPU cores with a small model, for rewards that have a gradient: through seven of "
            "eight denoising steps.",
            TrainConfig(
                algorithm="draft", epochs=6, batches_per_epoch=4, batch_size=16, sampling_steps=8, shift_timesteps=True,
                eta=0.0, trained_steps=7, output_penalty=800.0, penalty_on="noise", learning_rate=6e-5,
                warmup_epochs=0, final_learning_rate=0.1,
            ),
        ),
        Recipe(
            "short",
            "Short",
            "Minutes on one GPU with a model of 256 x 256 pixels.",
            replace(
                _QUICK, batch_size=16, sampling_steps=20, window_last=10, learning_rate=5e-5,
                gradient_checkpointing=True,
            ),
        ),
        Recipe(
            "zerogpu",
            "ZeroGPU",
            "Four minutes of ZeroGPU's GPU with a model of 256 x 256 pixels, by its assumed speed: within what a free "
            "account has a day. Not yet tried on that GPU.",
            replace(
                _QUICK, epochs=5, batch_size=32, accumulation=4, weights="lora", learning_rate=2e-3, window_first=5,
                window_last=12, inner_epochs=2, kl_weight=0.05, diversity_floor=0.95,
            ),
        ),
        Recipe(
            "paper",
            "As in the paper",
            "50 denoising steps, all of them trained on, 256 samples an epoch (Black et al. 2023, appendix D); hours "
            "on a GPU.",
            TrainConfig(
                epochs=100, batches_per_epoch=2, batch_size=128, accumulation=16, sampling_steps=50, trained_steps=49,
                learning_rate=1e-5, weight_decay=1e-4, warmup_epochs=0,
            ),
        ),
        Recipe(
            "rwr",
            "Reward-weighted regression",
            "The paper's baseline: 10,240 pictures of 50 near-deterministic steps an epoch, five passes over them, "
            "weights exp(0.2 r) (Black et al. 2023, github.com/jannerm/ddpo); hours on a GPU.",
            replace(_RWR, rwr_weights="reward", temperature=5.0),
        ),
        Recipe(
            "rwr-sparse",
            "Sparse reward-weighted regression",
            "As rwr, but on the best tenth of the pictures alone, each with the same weight; hours on a GPU.",
            replace(_RWR, rwr_weights="best", best_share=0.1),
        ),
        Recipe(
            "alcazar90-church",
            "alcazar90's for church-256",
            "The settings with which alkzar90/ddpo-aesthetic-church-256 was made (github.com/alcazar90/ddpo-celebahq), "
            "as far as its README tells them; hours on a GPU.",
            TrainConfig(
                epochs=25, batches_per_epoch=10, batch_size=10, accumulation=2, sampling_steps=40, timesteps="leading",
                clipped_epsilon="network", trained_steps=39, advantages_over="batch", advantage_clip=10.0,
                learning_rate=3.74e-6, warmup_epochs=12.5, warmup_from=9e-8 / 3.74e-6, rate_per="update",
                decay="cosine", decay_from="warmup", final_learning_rate=9e-9 / 3.74e-6, weight_decay=1e-4,
                eval_seeds=64, eval_steps=40, eval_share=1.0, keep="best",
            ),
        ),
    )
}  # fmt: skip


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: there is no such recipe.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise UserError(f"There is no recipe named {shown(name)}; choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]


def make_config(values: Mapping[str, Any], recipe: str = "quick") -> TrainConfig:
    """A recipe with some of its settings replaced.

    Args:
        values: settings by name; texts stand for the values that they spell.
        recipe: where the others come from.

    Raises:
        UserError: a name is not a setting (the sentence suggests one), or a value is not acceptable.
    """
    known = {setting.name: setting for setting in settings()}
    for name in values:
        if name not in known:
            near = get_close_matches(str(name)[:80], known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(known)}."
            raise UserError(f"There is no setting named {shown(name)}; {hint}")
    parsed = {name: known[name].parse(v) if isinstance(v, str) else v for name, v in values.items()}
    return replace(get_recipe(recipe).config, **parsed)


def config_from_dict(values: Mapping[str, Any]) -> TrainConfig:
    """The config that `asdict` was taken of, perhaps by an earlier version: settings that it lacks take their default.

    Raises:
        UserError: as `make_config` does.
    """
    return make_config({**asdict(TrainConfig()), **values})

"""The settings of ddpo-celebahq: the learning rate, batch-wise advantages, leading timesteps, the best kept."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.training.config import TrainConfig
from ddpo.training.epoch_plan import learning_rate_factor, plan_epoch
from ddpo.training.judging import judge
from ddpo.training.objective import advantages
from ddpo.training.processes import Processes
from ddpo.training.recipes import get_recipe
from ddpo.training.trainer import Trainer
from ddpo.training.work import evaluated_epochs
from tests.helpers.gaussian import brightness
from tests.helpers.models import make_unet, same_weights

RECIPE = get_recipe("alcazar90-church").config


def rates(config: TrainConfig, updates: int) -> list[float]:
    return [
        config.learning_rate * learning_rate_factor(epoch, config, update / updates)
        for epoch in range(config.epochs)
        for update in range(updates)
    ]


def theirs(step: int, total: int = 250, first: float = 9e-8, peak: float = 3.74e-6) -> float:
    """github.com/alcazar90/ddpo-celebahq, scripts/train.py, with the options of its README."""
    warm, least = total // 2, first / 10
    if step < warm:
        return first + step * (peak - first) / warm
    return least + (peak - least) * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


def test_the_learning_rate_is_theirs_in_every_update() -> None:
    assert rates(RECIPE, 10) == pytest.approx([theirs(step) for step in range(250)], rel=1e-9)


def test_a_decay_may_begin_where_the_warm_up_ends_also_with_a_rate_for_each_epoch() -> None:
    config = TrainConfig(epochs=6, warmup_epochs=2, final_learning_rate=0.1, decay_from="warmup", decay="cosine")
    factors = [learning_rate_factor(epoch, config) for epoch in range(6)]
    assert factors[:3] == pytest.approx([1 / 3, 2 / 3, 1.0]) and factors[-1] == pytest.approx(0.1)
    assert factors[4] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 2 / 3)))


def test_the_rate_of_other_recipes_is_to_the_last_bit_what_it_was() -> None:
    for name in ("quick", "short", "zerogpu", "paper"):
        config = get_recipe(name).config
        for epoch in range(config.epochs):
            warm_up = min(1.0, (epoch + 1) / (config.warmup_epochs + 1))
            was = warm_up * (1 - (1 - config.final_learning_rate) * epoch / max(1, config.epochs - 1))
            assert learning_rate_factor(epoch, config, 0.7) == was


def test_rewards_compete_within_their_batch() -> None:
    scores = torch.tensor([1.0, 2.0, 3.0, 4.0, 10.0, 30.0, 20.0, 40.0])
    config = TrainConfig(batches_per_epoch=2, batch_size=4, accumulation=2, advantages_over="batch")
    found = torch.cat([each.advantage for each in judge(scores, config, Processes())])
    expected = torch.cat([advantages(scores[:4], 5.0), advantages(scores[4:], 5.0)])
    assert torch.equal(found, expected) and found[0] < 0 < found[7]
    over_all = [each.advantage for each in judge(scores, replace(config, advantages_over="epoch"), Processes())]
    assert torch.equal(torch.cat(over_all), advantages(scores, 5.0)) and len(over_all) == 4


def test_the_recipe_says_what_the_readme_says() -> None:
    assert RECIPE.samples_per_epoch() == 100 and RECIPE.epochs == 25 and RECIPE.advantage_clip == 10
    plan = plan_epoch(0, RECIPE).rollout(0, RECIPE, 1000)
    assert plan.timesteps == tuple(range(975, -1, -25)) and sorted(plan.recorded or ()) == [*range(39)]
    assert evaluated_epochs(RECIPE) == tuple(range(26)) and (RECIPE.eval_seeds, RECIPE.keep) == (64, "best")


TINY = replace(
    RECIPE, epochs=2, batches_per_epoch=2, batch_size=4, accumulation=1, sampling_steps=4, trained_steps=3,
    warmup_epochs=0.5, learning_rate=1e-3, eval_seeds=0, keep="last",
)  # fmt: skip


def trained(config: TrainConfig, compute: Compute) -> Trainer:
    unet = make_unet()
    model = DiffusionModel("", unet, dict(DDPMScheduler().config))
    trainer = Trainer(unet, model.noise_schedule, model.picture_shape, brightness, config, compute)
    first = [event.finished_epoch.first_ratio_deviation for event in trainer.run() if event.finished_epoch]
    assert first == [0.0, 0.0]  # both passes take the same convention
    return trainer


def test_every_setting_reaches_the_training(compute: Compute) -> None:
    reference = trained(TINY, compute)
    others: list[dict[str, Any]] = [
        {"timesteps": "trailing"}, {"clipped_epsilon": "derived"}, {"advantages_over": "epoch"}, {"rate_per": "epoch"},
        {"decay": "line"},
    ]  # fmt: skip
    for other in others:
        assert not same_weights(reference.unet, trained(replace(TINY, **other), compute).unet), other


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shift_timesteps": True}, "shift_timesteps moves timesteps down, and leading ones end at 0"),
        ({"batch_size": 1, "accumulation": 1}, "advantages_over batch needs a batch_size above 1"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(RECIPE, **wrong)

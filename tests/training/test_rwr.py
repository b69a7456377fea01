"""Reward-weighted regression: its weights, its penalty, and that it keeps what it has where all rewards are equal."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import generators, policy_of
from ddpo.diffusion.step import trailing_timesteps
from ddpo.training.config import TrainConfig
from ddpo.training.objective import regression_loss, regression_weights, sparse_weights
from ddpo.training.recipes import get_recipe
from ddpo.training.rollout import RolloutPlan, roll_out
from ddpo.training.trainer import Trainer
from tests.helpers.gaussian import SHAPE, FieldDenoiser, brightness, epochs


def all_alike(pictures: Tensor) -> Tensor:
    return torch.full((len(pictures),), 5.0)


def small(recipe: str) -> TrainConfig:
    """A recipe with 4 epochs of 128 pictures, and 40 updates in each."""
    config = get_recipe(recipe).config
    return replace(config, epochs=4, batches_per_epoch=4, batch_size=32, accumulation=1, inner_epochs=10)


# As it was measured before: 20 steps at eta 1, and a learning rate ten times the paper's.
HASTY = replace(small("rwr"), sampling_steps=20, eta=1.0, learning_rate=1e-4, rwr_weights="advantage")


@cache
def variance_kept(config: TrainConfig, compute: Compute) -> float:
    """Variance of what the model draws afterwards, as a share of the base's, over the same seeds and 50 DDIM steps."""
    model = FieldDenoiser()
    trainer = Trainer(model, model.schedule, SHAPE, all_alike, config, compute)
    list(trainer.run())
    before, after = (float(draw(each).var(0).mean()) for each in (trainer.base, trainer.result()))
    return after / before


def draw(model: torch.nn.Module) -> Tensor:
    """Levels of the fields (256, 12) that a model draws in 50 deterministic steps."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        found: Tensor = model(x_t, t).sample
        return found

    plan = RolloutPlan(tuple(trailing_timesteps(50, 1000)), eta=0.0, recorded=())
    policy = policy_of(denoise, FieldDenoiser.schedule)
    drawn = roll_out(policy, generators(range(10_000, 10_256)), SHAPE, plan, torch.device("cpu"))
    return drawn.pictures[..., ::8, ::8].flatten(1)


@pytest.mark.parametrize("recipe", ["rwr", "rwr-sparse"])
def test_equal_weights_leave_the_diversity_of_the_base(compute: Compute, recipe: str) -> None:
    assert variance_kept(small(recipe), compute) > 0.97


def test_poorer_samples_and_a_higher_rate_lose_it(compute: Compute) -> None:
    """So the test before has something to see: the same regression on 20 noisy steps, ten times as fast."""
    lost = 1 - variance_kept(HASTY, compute)
    better = 1 - variance_kept(replace(HASTY, sampling_steps=50, eta=0.0), compute)
    assert lost > 0.15 and better < lost / 2


def test_the_penalty_holds_it(compute: Compute) -> None:
    free, held = (variance_kept(replace(HASTY, kl_weight=weight), compute) for weight in (0.0, 10.0))
    assert 1 - held < 0.6 * (1 - free)


def test_both_forms_raise_the_reward(compute: Compute) -> None:
    for form in ({"rwr_weights": "reward", "temperature": 0.05}, {"rwr_weights": "best"}):
        config = replace(HASTY, learning_rate=1e-3, eta=0.0, sampling_steps=20, **form)
        model = FieldDenoiser()
        history = list(epochs(Trainer(model, model.schedule, SHAPE, spread_of, config, compute)))
        assert history[-1].reward_mean > history[0].reward_mean + 3 * history[0].reward_std / 11, form


def spread_of(pictures: Tensor) -> Tensor:
    """A reward that gains can raise."""
    return pictures.flatten(1).std(1)


def test_the_weights_are_those_of_the_paper() -> None:
    rewards = torch.tensor([1.0, 2.0, 3.0, 4.0])
    expected = torch.exp(0.2 * rewards)
    torch.testing.assert_close(regression_weights(rewards, 5.0), 4 * expected / expected.sum())
    assert sparse_weights(rewards, 0.25).tolist() == [0, 0, 0, 4]
    assert sparse_weights(rewards, 0.3).tolist() == [0, 0, 2, 2]
    assert sparse_weights(torch.ones(4), 0.25).tolist() == [1, 1, 1, 1]  # all of them reach C
    assert sparse_weights(rewards, 1.0).tolist() == [1, 1, 1, 1]


def test_the_loss_is_the_weighted_error_and_the_divergence() -> None:
    error, weights, kl = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 1.5]), torch.tensor([0.2, 0.4])
    assert float(regression_loss(error, weights)) == pytest.approx(2.5)
    assert float(regression_loss(error, weights, kl, 2.0)) == pytest.approx(2.5 + 2 * 0.3)


def test_a_penalty_is_measured_and_none_is_not(compute: Compute) -> None:
    model = FieldDenoiser()
    config = replace(HASTY, epochs=1, inner_epochs=1, kl_weight=0.1)
    (measured,) = epochs(Trainer(model, model.schedule, SHAPE, brightness, config, compute))
    other = FieldDenoiser()
    (free,) = epochs(Trainer(other, other.schedule, SHAPE, brightness, replace(config, kl_weight=0.0), compute))
    assert measured.kl > 0 and free.kl != free.kl

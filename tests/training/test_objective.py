"""The objective against REINFORCE and against its definition."""

from __future__ import annotations

import math

import pytest
import torch

from ddpo.training.objective import (
    advantages,
    regression_loss,
    regression_weights,
    reward_weight,
    total_loss,
)


def test_advantages_are_standardised_and_clipped() -> None:
    rewards = torch.tensor([1.0, 2.0, 3.0, 4.0])
    result = advantages(rewards, clip=10)
    torch.testing.assert_close(result.mean(), torch.tensor(0.0))
    torch.testing.assert_close(result.std(unbiased=False), torch.tensor(1.0))
    assert advantages(torch.tensor([0.0] * 99 + [1.0]), clip=5).max() == 5


def test_equal_rewards_give_no_advantage_and_no_nan() -> None:
    assert torch.equal(advantages(torch.full((5,), 3.3), clip=5), torch.zeros(5))
    for value in (0.1, 0.3, 233.3333):  # whose means in float32 are not the value
        rewards = torch.full((100,), value)
        for group_size in (1, 10):
            assert torch.equal(advantages(rewards, 5, group_size), torch.zeros(100))
            assert torch.equal(advantages(rewards, 5, group_size, leave_one_out=True), torch.zeros(100))


def test_a_group_is_judged_by_its_own_mean_and_all_by_one_deviation() -> None:
    rewards = torch.tensor([1.0, 3.0, 10.0, 10.2])
    result = advantages(rewards, clip=10, group_size=2)
    deviation = math.sqrt((1.0**2 + 0.1**2) / 2)
    torch.testing.assert_close(result, torch.tensor([-1.0, 1.0, -0.1, 0.1]) / deviation)


def test_leave_one_out_compares_with_the_mean_of_the_others() -> None:
    rewards = torch.tensor([1.0, 2.0, 6.0])
    others = torch.stack([rewards[[1, 2]].mean(), rewards[[0, 2]].mean(), rewards[[0, 1]].mean()])
    result = advantages(rewards, clip=10, leave_one_out=True)
    torch.testing.assert_close(result, (rewards - others) / rewards.std(unbiased=False))


def test_the_reward_counts_half_with_every_0_04_of_diversity_that_is_missing() -> None:
    assert [reward_weight(diversity, 0.85) for diversity in (1.2, 0.85)] == [1, 1]
    assert reward_weight(0.81, 0.85) == pytest.approx(0.5) and reward_weight(0.65, 0.85) == pytest.approx(1 / 32)
    assert reward_weight(0.0, 0.0) == 1  # no floor


def test_regression_weights_are_exponential_with_a_mean_of_one() -> None:
    advantage = torch.tensor([-1.0, 0.0, 1.0])
    weights = regression_weights(advantage, 0.5)
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    torch.testing.assert_close(weights[2] / weights[1], torch.tensor(math.exp(2.0)))


def test_regression_counts_every_error_by_its_weight() -> None:
    loss = regression_loss(torch.tensor([1.0, 4.0]), torch.tensor([0.5, 1.5]))
    torch.testing.assert_close(loss, torch.tensor(3.25))


def test_the_score_function_has_the_gradient_of_reinforce() -> None:
    theta = torch.linspace(-1, 1, 5, requires_grad=True)
    log_prob = -theta.square()
    loss = total_loss(log_prob, log_prob.detach(), torch.arange(5.0), kl=None, clip_range=None)
    (gradient,) = torch.autograd.grad(loss.total, theta)
    torch.testing.assert_close(gradient, torch.arange(5.0) * 2 * theta.detach() / 5)


def test_gradient_at_ratio_one_is_that_of_reinforce() -> None:
    theta = torch.randn(7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    advantage = torch.linspace(-2, 2, 7)
    log_prob = -theta.square()
    loss = total_loss(log_prob, log_prob.detach(), advantage, kl=None, clip_range=1e-4)
    assert torch.equal(loss.ratio, torch.ones(7)) and loss.clip_fraction == 0
    (ours,) = torch.autograd.grad(loss.total, theta)
    (reinforce,) = torch.autograd.grad(-(advantage * -theta.square()).mean(), theta)
    torch.testing.assert_close(ours, reinforce)


def test_a_ratio_past_the_clip_range_gets_no_gradient_where_it_would_gain() -> None:
    log_prob = torch.tensor([0.01, -0.01, 0.01, -0.01], requires_grad=True)
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    loss = total_loss(log_prob, torch.zeros(4), advantage, kl=None, clip_range=1e-4)
    (gradient,) = torch.autograd.grad(loss.total, log_prob)
    assert gradient[0] == 0 and gradient[3] == 0  # moved far enough already
    assert gradient[1] < 0 < gradient[2]  # moved the wrong way: pulled back
    assert loss.clip_fraction == 1


def test_the_loss_is_the_weighted_sum_of_the_surrogate_and_the_divergence() -> None:
    log_prob, advantage = torch.tensor([0.1, -0.2], requires_grad=True), torch.tensor([1.0, -0.5])
    kl = torch.tensor([0.3, 0.5], requires_grad=True)
    plain = total_loss(log_prob, log_prob.detach(), advantage, kl=None, clip_range=0.1)
    both = total_loss(log_prob, log_prob.detach(), advantage, kl, clip_range=0.1, kl_weight=2.0, reward_weight=0.25)
    torch.testing.assert_close(both.total, 0.25 * plain.total + 2.0 * kl.mean())
    assert plain.kl is None and both.kl is not None and both.kl == pytest.approx(0.4) and not both.kl.requires_grad


def test_a_divergence_that_is_only_watched_is_no_part_of_the_loss() -> None:
    log_prob, kl = torch.zeros(2, requires_grad=True), torch.tensor([math.nan, 1.0], requires_grad=True)
    loss = total_loss(log_prob, torch.zeros(2), torch.ones(2), kl, clip_range=0.1)
    loss.total.backward()
    assert loss.total.isfinite() and kl.grad is None and loss.kl is not None and loss.kl.isnan()

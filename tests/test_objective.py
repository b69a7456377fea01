"""The objective against REINFORCE and against its definition."""

from __future__ import annotations

import torch

from ddpo.objective import advantages, clipped_surrogate


def test_advantages_are_standardised_and_clipped() -> None:
    rewards = torch.tensor([1.0, 2.0, 3.0, 4.0])
    result = advantages(rewards, clip=10)
    torch.testing.assert_close(result.mean(), torch.tensor(0.0))
    torch.testing.assert_close(result.std(unbiased=False), torch.tensor(1.0))
    assert advantages(torch.tensor([0.0] * 99 + [1.0]), clip=5).max() == 5


def test_equal_rewards_give_no_advantage_and_no_nan() -> None:
    assert torch.equal(advantages(torch.full((5,), 3.3), clip=5), torch.zeros(5))


def test_gradient_at_ratio_one_is_that_of_reinforce() -> None:
    theta = torch.randn(7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    advantage = torch.linspace(-2, 2, 7)
    log_prob = -theta.square()
    surrogate = clipped_surrogate(log_prob, log_prob.detach(), advantage, 1e-4)
    assert torch.equal(surrogate.ratio, torch.ones(7)) and surrogate.clip_fraction == 0
    (ours,) = torch.autograd.grad(surrogate.loss, theta)
    (reinforce,) = torch.autograd.grad(-(advantage * -theta.square()).mean(), theta)
    torch.testing.assert_close(ours, reinforce)


def test_a_ratio_past_the_clip_range_gets_no_gradient_where_it_would_gain() -> None:
    log_prob = torch.tensor([0.01, -0.01, 0.01, -0.01], requires_grad=True)
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    surrogate = clipped_surrogate(log_prob, torch.zeros(4), advantage, 1e-4)
    (gradient,) = torch.autograd.grad(surrogate.loss, log_prob)
    assert gradient[0] == 0 and gradient[3] == 0  # moved far enough already
    assert gradient[1] < 0 < gradient[2]  # moved the wrong way: pulled back
    assert surrogate.clip_fraction == 1

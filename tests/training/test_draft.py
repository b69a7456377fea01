"""DRaFT: its gradient is that of the whole chain, agrees with DDPO's, and leads to the known optimum."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import draw_noise, generators
from ddpo.diffusion.step import NoiseSchedule, diffuse, trailing_timesteps
from ddpo.errors import UserError
from ddpo.rewards import Reward
from ddpo.training.config import TrainConfig
from ddpo.training.epoch import Part
from ddpo.training.epoch_plan import plan_epoch
from ddpo.training.events import EpochMetrics
from ddpo.training.losses import Losses
from ddpo.training.random_streams import mix_seed
from ddpo.training.rollout import Trajectory, roll_out
from ddpo.training.trainer import Trainer
from tests.helpers.gaussian import SCHEDULE, SHAPE, STEPS, GaussianDenoiser, brightness, epochs
from tests.helpers.models import make_unet

DRAFT = TrainConfig(
    algorithm="draft", epochs=2, batches_per_epoch=1, batch_size=8, sampling_steps=STEPS, trained_steps=STEPS,
    learning_rate=1e-3, warmup_epochs=0,
)  # fmt: skip
TIMES = trailing_timesteps(STEPS, SCHEDULE.num_timesteps)


def near(pictures: Tensor) -> Tensor:
    """A reward that is not linear, in the mean of the pixels."""
    return -(pictures.mean((1, 2, 3)) - 0.3).square()


def fresh_part(model: nn.Module, config: TrainConfig, compute: Compute, shape: tuple[int, int, int]) -> Part:
    """The samples of a first epoch."""
    losses = Losses(model, model, SCHEDULE, near, config, compute)
    rngs = generators([mix_seed(config.seed, number) for number in range(config.batch_size)])
    plan = plan_epoch(0, config).rollout(0, config, SCHEDULE.num_timesteps)
    return Part(roll_out(losses.policy, rngs, shape, plan, compute.device), first_sample=0)


def moved(model: GaussianDenoiser) -> GaussianDenoiser:
    """As a run has it after a while: no offset is zero."""
    model.offset.data = torch.tensor([0.02, -0.03, 0.05, 0.01, -0.02])
    return model


def gradient_of(model: GaussianDenoiser, base: nn.Module, config: TrainConfig, part: Part, reward: Reward) -> Tensor:
    compute = Compute(torch.device("cpu"), torch.float32)
    model.offset.grad = None
    Losses(model, base, SCHEDULE, reward, config, compute).backward(part, 1, 0, 1.0, scale=0.5)
    assert model.offset.grad is not None
    return model.offset.grad.clone()


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize(
    ("steps", "eta", "penalty"), [(STEPS, 1.0, 0.0), (STEPS, 0.5, 3.0), (2, 1.0, 3.0), (3, 0.0, 0.0)]
)
def test_the_gradient_is_that_of_the_chain_by_autograd(
    compute: Compute, steps: int, eta: float, penalty: float, checkpointed: bool
) -> None:
    """The chain is written anew here, with DDIM's formula and the same noise; nothing is averaged away."""
    config = replace(DRAFT, trained_steps=steps, eta=eta, output_penalty=penalty, gradient_checkpointing=checkpointed)
    model, base = moved(GaussianDenoiser(0.1)), GaussianDenoiser(0.1).requires_grad_(False)
    part = fresh_part(model, config, compute, SHAPE)
    assert part.trajectory.states.shape == (1, 8, *SHAPE)
    ours = gradient_of(model, base, config, part, near)

    x, change = part.trajectory.states[0], torch.zeros(())
    rngs = generators([mix_seed(config.seed + 2, number) for number in range(8)])
    for t, then in list(pairwise([*TIMES, -1]))[-steps:]:
        a = SCHEDULE.alphas_cumprod[t]
        b = SCHEDULE.alphas_cumprod[then] if then >= 0 else torch.ones(())
        epsilon = model(x, torch.tensor([t])).sample
        change = change + (epsilon - base(x, torch.tensor([t])).sample).square().mean() / steps
        sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)).sqrt()
        x_0 = (x - (1 - a).sqrt() * epsilon) / a.sqrt()
        x = b.sqrt() * x_0 + (1 - b - sigma**2).clamp(min=0).sqrt() * epsilon
        if then >= 0:
            x = x + sigma * draw_noise(rngs, SHAPE, compute.device)
    loss = -near(x.clamp(-1, 1)).mean() / 0.5 + penalty * change
    (expected,) = torch.autograd.grad(loss, model.offset)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-7)
    assert (ours != 0).tolist() == [False] * (STEPS - steps) + [True] * steps


class VDenoiser(nn.Module):
    """Gives v in place of the noise that another network gives."""

    def __init__(self, of_noise: GaussianDenoiser) -> None:
        super().__init__()
        self.of_noise = of_noise

    def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
        alpha_bar = SCHEDULE.alpha_bar(t.expand(len(x_t)), x_t)
        epsilon = self.of_noise(x_t, t).sample
        return SimpleNamespace(sample=(epsilon - (1 - alpha_bar).sqrt() * x_t) / alpha_bar.sqrt())


def test_a_penalty_on_the_noise_is_the_same_whatever_the_network_gives(compute: Compute) -> None:
    config = replace(DRAFT, output_penalty=3.0, penalty_on="noise")
    model, base = moved(GaussianDenoiser(0.1)), GaussianDenoiser(0.1).requires_grad_(False)
    part = fresh_part(model, config, compute, SHAPE)
    expected = gradient_of(model, base, config, part, near)

    def of_v(penalty_on: str) -> Tensor:
        model.offset.grad = None
        asked, schedule = replace(config, penalty_on=penalty_on), replace(SCHEDULE, prediction_type="v_prediction")
        Losses(VDenoiser(model), VDenoiser(base), schedule, near, asked, compute).backward(part, 1, 0, 1.0, scale=0.5)
        assert model.offset.grad is not None
        return model.offset.grad.clone()

    torch.testing.assert_close(of_v("noise"), expected, rtol=1e-3, atol=1e-6)
    assert (of_v("output")[0] - expected[0]).abs() > 10 * expected[0].abs()  # v changes most at the first step


def test_the_gradient_points_where_ddpo_points(compute: Compute) -> None:
    """Over all steps both are unbiased, but for the last step, which has no density and so nothing for DDPO."""
    shape, count = (3, 2, 2), 8192
    config = replace(DRAFT, batch_size=count)
    model, base = moved(GaussianDenoiser(0.3)), GaussianDenoiser(0.3).requires_grad_(False)
    ours = gradient_of(model, base, config, fresh_part(model, config, compute, shape), near)
    policy = replace(config, algorithm="ddpo-sf", trained_steps=STEPS - 1)
    part = fresh_part(model, policy, compute, shape)
    scores = near(part.trajectory.pictures)
    part.advantage = scores - scores.mean()
    theirs = gradient_of(model, base, policy, part, near)
    assert theirs[-1] == 0
    assert torch.nn.functional.cosine_similarity(ours[:-1], theirs[:-1], dim=0) > 0.98


def test_a_linear_reward_on_gaussian_data_moves_to_its_known_optimum(compute: Compute) -> None:
    """r = const + sum_k c_k o_k, and the penalty is the mean of o_k^2, so o_k = K c_k / (2 lambda std(r))."""
    model, penalty = GaussianDenoiser(spread=0.1), 2e4
    config = replace(
        DRAFT, epochs=100, batch_size=16, learning_rate=1e-2, output_penalty=penalty, final_learning_rate=0.0,
        max_grad_norm=1e9,
    )  # fmt: skip
    history = list(epochs(Trainer(model, SCHEDULE, SHAPE, brightness, config, compute)))
    offset = torch.zeros(STEPS, requires_grad=True)
    x = torch.zeros(())
    for k, (t, then) in enumerate(pairwise([*TIMES, -1])):  # the mean of the pixels, which is all that matters here
        a = SCHEDULE.alphas_cumprod[t]
        b = SCHEDULE.alphas_cumprod[then] if then >= 0 else torch.ones(())
        epsilon = (1 - a).sqrt() / (a * 0.1**2 + 1 - a) * x + offset[k]
        sigma = ((1 - b) / (1 - a) * (1 - a / b)).sqrt()
        x = b.sqrt() * (x - (1 - a).sqrt() * epsilon) / a.sqrt() + (1 - b - sigma**2).clamp(min=0).sqrt() * epsilon
    (slopes,) = torch.autograd.grad(x, offset)
    optimum = STEPS * slopes / (2 * penalty * history[0].reward_std)
    torch.testing.assert_close(model.offset.detach(), optimum, rtol=0.02, atol=0.01 * float(optimum.abs().max()))
    gain = float((slopes * optimum).sum())
    assert history[-1].reward_mean - history[0].reward_mean == pytest.approx(gain, abs=2 * history[0].reward_std)
    assert history[-1].output_change == pytest.approx(float(optimum.square().mean()), rel=0.05)
    assert math.isnan(history[-1].kl)  # a deterministic step has none


def test_noisings_average_the_last_steps_gradient_over_noise(compute: Compute) -> None:
    """DRaFT-LV, written anew: the finished picture, noised to the last timestep and denoised once."""
    config = replace(DRAFT, trained_steps=1, noisings=2)
    model, base = moved(GaussianDenoiser(0.1)), GaussianDenoiser(0.1).requires_grad_(False)
    part = fresh_part(model, config, compute, SHAPE)
    ours = gradient_of(model, base, config, part, near)
    t, losses = torch.tensor([TIMES[-1]]), []
    for turn in range(3):
        rngs = generators([mix_seed(config.seed + 2, turn * (1 << 32) + number) for number in range(8)])
        x_t = part.trajectory.states[0]
        if turn > 0:
            x_t, _ = diffuse(part.trajectory.pictures, draw_noise(rngs, SHAPE, compute.device), t, SCHEDULE)
        a = SCHEDULE.alphas_cumprod[t]
        x_0 = (x_t - (1 - a).sqrt() * model(x_t, t).sample) / a.sqrt()
        losses.append(-near(x_0.clamp(-1, 1)).mean() / 0.5)
    (expected,) = torch.autograd.grad(torch.stack(losses).mean(), model.offset)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-7)


def test_a_random_truncation_reaches_every_number_of_steps() -> None:
    config = replace(DRAFT, truncation="random", batches_per_epoch=50)
    steps = plan_epoch(0, config).steps
    assert {len(each) for each in steps} == set(range(1, STEPS + 1))
    assert all(each == list(range(STEPS - len(each), STEPS)) for each in steps)
    assert all(each == [STEPS - 1] for each in plan_epoch(0, replace(config, trained_steps=1)).steps)


def finetune(config: TrainConfig, compute: Compute, reward: Reward = brightness) -> tuple[Trainer, list[EpochMetrics]]:
    schedule = NoiseSchedule(DDPMScheduler().alphas_cumprod, "v_prediction", 1.0)
    trainer = Trainer(make_unet(), schedule, SHAPE, reward, config, compute)
    return trainer, list(epochs(trainer))


def test_a_rewards_unit_changes_nothing(compute: Compute) -> None:
    config = replace(DRAFT, trained_steps=2, output_penalty=1.0)
    plain, first = finetune(config, compute)
    scaled, other = finetune(config, compute, lambda x: 100 * brightness(x) + 7)
    assert scaled.first.reward_scale == pytest.approx(100 * plain.first.reward_scale, rel=1e-3)
    for ours, theirs in zip(first, other, strict=True):
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-2)
        assert ours.output_change == pytest.approx(theirs.output_change, rel=1e-2, abs=1e-7)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(compute: Compute) -> None:
    config = replace(DRAFT, trained_steps=2, epochs=1, learning_rate=1e-4)
    whole, parts = (finetune(replace(config, accumulation=count), compute)[0] for count in (1, 4))
    for a, b in zip(whole.unet.parameters(), parts.unet.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_checkpointing_keeps_the_activations_of_one_step(compute: Compute) -> None:
    """Counted in bytes that autograd keeps for the backward pass."""

    def kept(**changes: object) -> int:
        config = replace(DRAFT, **changes)  # type: ignore[arg-type]
        unet = make_unet()
        schedule = NoiseSchedule(DDPMScheduler().alphas_cumprod, "v_prediction", 1.0)
        losses = Losses(unet, make_unet(), schedule, brightness, config, compute)
        rngs, sizes = generators(range(4)), [0]

        def pack(x: Tensor) -> Tensor:
            sizes[0] += x.numel() * x.element_size()
            return x

        times = TIMES[-config.trained_steps :]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            losses.reward_gradient.take_steps(torch.randn(4, *SHAPE), times, [*times[1:], -1], rngs)
        return sizes[0]

    whole, one = kept(), kept(trained_steps=1)
    assert whole > 4 * one and kept(gradient_checkpointing=True) < 0.2 * one


def test_a_reward_without_a_gradient_is_refused(compute: Compute) -> None:
    with pytest.raises(UserError, match="without a gradient, which algorithm draft follows"):
        finetune(DRAFT, compute, lambda x: x.detach().mean((1, 2, 3)))


def test_the_memory_of_a_trajectory_is_one_state(compute: Compute) -> None:
    part = fresh_part(GaussianDenoiser(0.1), replace(DRAFT, trained_steps=3), compute, SHAPE)
    assert isinstance(part.trajectory, Trajectory) and len(part.trajectory.states) == 1
    assert part.trajectory.timesteps.tolist() == TIMES[-3:] and part.trajectory.places.tolist() == [0]

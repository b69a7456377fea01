"""The Gaussian step against independent implementations: torch.distributions and diffusers' schedulers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from ddpo.diffusion.step import (
    GaussianStep,
    NoiseSchedule,
    denoising_step,
    leading_timesteps,
    predict_x_0,
    trailing_timesteps,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def schedule_of(prediction_type: str = "epsilon", clip: bool = True) -> tuple[NoiseSchedule, DDPMScheduler]:
    scheduler = DDPMScheduler(prediction_type=prediction_type, clip_sample=clip)
    return NoiseSchedule(scheduler.alphas_cumprod, prediction_type, 1.0 if clip else None), scheduler  # type: ignore[arg-type]


def test_log_probability_is_the_pixel_mean_of_torch_distributions() -> None:
    mean, std, x = random(4, 3, 8, 8), torch.rand(4, 1, 1, 1) + 0.1, random(4, 3, 8, 8, seed=1)
    expected = torch.distributions.Normal(mean, std).log_prob(x).mean(dim=(1, 2, 3))
    torch.testing.assert_close(GaussianStep(mean, std).log_prob(x), expected)


def test_kl_is_the_pixel_mean_of_torch_distributions() -> None:
    std = torch.rand(4, 1, 1, 1) + 0.1
    a, b = random(4, 3, 8, 8), random(4, 3, 8, 8, seed=1)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(a, std), normal(b, std)).mean(dim=(1, 2, 3))
    torch.testing.assert_close(GaussianStep(a, std).kl_to(GaussianStep(b, std)), expected)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("t", [999, 500, 20, 1])
def test_eta_one_over_all_steps_is_the_ddpm_posterior(prediction_type: str, clip: bool, t: int) -> None:
    schedule, scheduler = schedule_of(prediction_type, clip)
    x_t, output = random(2, 3, 8, 8), random(2, 3, 8, 8, seed=1)
    now = torch.full((2,), t)
    step = denoising_step(output, x_t, now, now - 1, schedule, eta=1.0)

    scheduler.set_timesteps(1000)
    variance = scheduler._get_variance(t)
    torch.testing.assert_close(step.std[0].square().view(()), variance, rtol=1e-3, atol=1e-8)
    # The same noise through diffusers: what is left after taking the noise away is the posterior mean.
    noise = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(5))
    sampled = scheduler.step(output, t, x_t, generator=torch.Generator().manual_seed(5)).prev_sample
    torch.testing.assert_close(step.mean, sampled - variance.sqrt() * noise, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("clip", [True, False])
def test_dynamic_thresholding_is_that_of_diffusers(clip: bool) -> None:
    """In the prediction of the picture, and in a step of DDPM; it takes the place of clipping."""
    scheduler = DDPMScheduler(clip_sample=clip, thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=3.0)
    scheduler.set_timesteps(1000)
    schedule = NoiseSchedule(scheduler.alphas_cumprod, "epsilon", 1.0 if clip else None, (0.9, 3.0))
    x_t, output = random(3, 3, 8, 8) * torch.tensor([0.1, 1.0, 9.0]).view(3, 1, 1, 1), random(3, 3, 8, 8, seed=1)
    now = torch.full((3,), 300)
    theirs = scheduler.step(output, 300, x_t, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(predict_x_0(output, x_t, now, schedule), theirs.pred_original_sample)
    noise = scheduler._get_variance(300).sqrt() * torch.randn(x_t.shape, generator=torch.Generator().manual_seed(5))
    mean = denoising_step(output, x_t, now, now - 1, schedule).mean
    torch.testing.assert_close(mean, theirs.prev_sample - noise, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_step_is_diffusers_ddim_step(eta: float) -> None:
    schedule, _ = schedule_of("v_prediction")
    ddim = DDIMScheduler(prediction_type="v_prediction", timestep_spacing="trailing")
    ddim.set_timesteps(10)
    assert ddim.timesteps.tolist() == trailing_timesteps(10, 1000)
    x_t, output = random(2, 3, 8, 8), random(2, 3, 8, 8, seed=1)
    step = denoising_step(output, x_t, torch.tensor([499, 499]), torch.tensor([399, 399]), schedule, eta)
    noise = random(2, 3, 8, 8, seed=2)
    theirs = ddim.step(output, 499, x_t, eta=eta, use_clipped_model_output=True, variance_noise=noise).prev_sample
    torch.testing.assert_close(step.sample(noise), theirs, rtol=1e-4, atol=1e-5)


def test_the_last_step_has_no_log_probability_no_gradient_and_no_nan() -> None:
    schedule, _ = schedule_of()
    output = random(2, 3, 8, 8).requires_grad_()
    t = torch.full((2,), 99)
    step = denoising_step(output, random(2, 3, 8, 8, seed=1), t, torch.full((2,), -1), schedule)
    log_prob, kl = step.log_prob(step.mean), step.kl_to(GaussianStep(step.mean.detach() + 1, step.std))
    (log_prob.sum() + kl.sum()).backward()
    assert torch.equal(log_prob, torch.zeros(2)) and torch.equal(kl, torch.zeros(2))
    assert output.grad is not None and torch.equal(output.grad, torch.zeros_like(output))


def test_the_predicted_picture_undoes_the_forward_process() -> None:
    x_0, noise, t = random(3, 3, 8, 8).clamp(-1, 1), random(3, 3, 8, 8, seed=1), torch.tensor([10, 400, 900])
    for prediction_type in ("epsilon", "v_prediction", "sample"):
        schedule, scheduler = schedule_of(prediction_type, clip=False)
        x_t = scheduler.add_noise(x_0, noise, t)
        target = {"epsilon": noise, "v_prediction": scheduler.get_velocity(x_0, noise, t), "sample": x_0}
        predicted = predict_x_0(target[prediction_type], x_t, t, schedule)
        torch.testing.assert_close(predicted, x_0, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_noise_may_be_taken_as_the_network_gave_it(prediction_type: str, eta: float) -> None:
    """As diffusers' DDIM does by default: the two differ where the predicted picture was clipped."""
    schedule, _ = schedule_of(prediction_type)
    ddim = DDIMScheduler(prediction_type=prediction_type)
    ddim.set_timesteps(40)
    assert ddim.timesteps.tolist() == leading_timesteps(40, 1000) == [*range(975, -1, -25)]
    x_t, output, noise = random(2, 3, 8, 8), 3 * random(2, 3, 8, 8, seed=1), random(2, 3, 8, 8, seed=2)
    now, then = torch.tensor([500, 500]), torch.tensor([475, 475])
    step = denoising_step(output, x_t, now, then, replace(schedule, rederives_epsilon=False), eta)
    theirs = ddim.step(output, 500, x_t, eta=eta, variance_noise=noise).prev_sample
    torch.testing.assert_close(step.sample(noise), theirs, rtol=1e-4, atol=1e-5)
    derived = denoising_step(output, x_t, now, then, schedule, eta)
    assert (derived.mean - step.mean).abs().max() > 0.01

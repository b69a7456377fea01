"""Denoising as a decision process (Black et al. 2023, section 4.2): the Gaussian step.

The state is (x_t, t), the action is x_{t-1}, and the policy is
p_theta(x_{t-1} | x_t) = N(mu_theta(x_t, t), sigma_t^2 I)
with DDIM's mu and sigma (Song et al. 2021, equations 12 and 16).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

PredictionType = Literal["epsilon", "v_prediction", "sample"]


@dataclass(frozen=True)
class NoiseSchedule:
    """The forward process of a model and what its network predicts."""

    alphas_cumprod: Tensor  # (T,) float32, alpha_bar_t, falling from almost 1 to almost 0
    prediction_type: PredictionType = "epsilon"
    clip_range: float | None = None  # predicted pictures are clipped to [-clip_range, clip_range]; None: not at all
    thresholding: tuple[float, float] | None = None  # quantile and largest value of dynamic thresholding, in its place
    rederives_epsilon: bool = True  # from the clipped picture; else a step takes the noise as the network gave it

    @property
    def num_timesteps(self) -> int:
        """T, the number of timesteps that the network was trained on."""
        return len(self.alphas_cumprod)

    def alpha_bar(self, t: Tensor, like: Tensor) -> Tensor:
        """alpha_bar at timesteps t: (B,) int64, shaped to multiply `like`: (B, ...). It is 1 where t < 0."""
        table = self.alphas_cumprod.to(like.device)
        values = torch.where(t < 0, torch.ones((), device=like.device), table[t.clamp(min=0)])
        return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class GaussianStep:
    """The distribution of x_{t-1} given x_t. All float32."""

    mean: Tensor  # (B, ...) mu_theta(x_t, t)
    std: Tensor  # (B, 1, ...) sigma_t >= 0; 0 where the step is deterministic

    def sample(self, noise: Tensor) -> Tensor:
        """x_{t-1} = mu + sigma noise, for standard normal noise: (B, ...)."""
        return self.mean + self.std * noise

    def log_prob(self, x_prev: Tensor) -> Tensor:
        """log p_theta(x_{t-1} | x_t), **averaged** over the pixels: (B,) float32.

        The paper's log-probability is the sum. Every DDPO implementation takes the mean, and a clip range of 1e-4 makes
        sense only with it. A deterministic step has no density: its log-probability is 0, and so is its gradient.
        """
        stochastic = self.std > 0
        std = torch.where(stochastic, self.std, torch.ones_like(self.std))
        z = (x_prev - self.mean) / std
        log_density = -0.5 * z.square() - std.log() - 0.5 * math.log(2 * math.pi)
        return torch.where(stochastic, log_density, torch.zeros_like(log_density)).flatten(1).mean(1)

    def kl_to(self, other: GaussianStep) -> Tensor:
        """KL(self || other) for equal variances, averaged over the pixels: (B,) float32.

        In closed form (mu - mu')^2 / (2 sigma^2); 0 for a deterministic step.
        """
        stochastic = self.std > 0
        std = torch.where(stochastic, self.std, torch.ones_like(self.std))
        kl = (self.mean - other.mean).square() / (2 * std.square())
        return torch.where(stochastic, kl, torch.zeros_like(kl)).flatten(1).mean(1)


def predict_x_0(model_output: Tensor, x_t: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """The clean picture that the network sees behind x_t (Song et al. 2021, equation 9; for v: Salimans and Ho 2022).

    Args:
        model_output: (B, ...) what the network predicts, by schedule.prediction_type.
        x_t: (B, ...) noisy pictures.
        t: (B,) int64 timesteps.
        schedule: the model's noise schedule.

    Returns:
        (B, ...) float32, clipped or thresholded where the schedule says so.
    """
    output, x_t = model_output.float(), x_t.float()
    alpha_bar = schedule.alpha_bar(t, x_t)
    match schedule.prediction_type:
        case "epsilon":
            x_0 = (x_t - (1 - alpha_bar).sqrt() * output) / alpha_bar.sqrt()
        case "v_prediction":
            x_0 = alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * output
        case "sample":
            x_0 = output
        case unknown:
            raise ValueError(f"A prediction type {unknown!r} is not known.")
    if schedule.thresholding is not None:
        return threshold(x_0, *schedule.thresholding)
    return x_0 if schedule.clip_range is None else x_0.clamp(-schedule.clip_range, schedule.clip_range)


def predict_epsilon(model_output: Tensor, x_t: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """The noise that the network sees in x_t, whatever becomes of its picture: (B, ...) float32.

    Arguments are those of `predict_x_0`.
    """
    output, x_t = model_output.float(), x_t.float()
    alpha_bar = schedule.alpha_bar(t, x_t)
    match schedule.prediction_type:
        case "epsilon":
            return output
        case "v_prediction":
            return alpha_bar.sqrt() * output + (1 - alpha_bar).sqrt() * x_t
        case "sample":
            return (x_t - alpha_bar.sqrt() * output) / (1 - alpha_bar).sqrt()
        case unknown:
            raise ValueError(f"A prediction type {unknown!r} is not known.")


def threshold(x_0: Tensor, quantile: float, largest: float) -> Tensor:
    """Dynamic thresholding (Saharia et al. 2022, section 2.3): clipped to a quantile s of its own, and divided by it.

    Args:
        x_0: (B, ...) float32.
        quantile: of the absolute values of a picture that s is, in (0, 1).
        largest: s is at least 1 and at most this.
    """
    quantiles = [torch.quantile(each.abs(), quantile) for each in x_0]  # of all at once it takes 2^24 numbers at most
    s = torch.stack(quantiles).clamp(1, largest).view(-1, *[1] * (x_0.dim() - 1))
    return torch.minimum(torch.maximum(x_0, -s), s) / s


def diffuse(x_0: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
    """The forward process (Ho et al. 2020, equation 4), and what the network should say about its outcome.

    Args:
        x_0: (B, ...) clean pictures, float32.
        noise: (B, ...) standard normal.
        t: (B,) int64 timesteps.
        schedule: the model's noise schedule.

    Returns:
        x_t and the target of the network, both (B, ...) float32.
    """
    alpha_bar = schedule.alpha_bar(t, x_0)
    signal, spread = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    x_t = signal * x_0 + spread * noise
    targets = {"epsilon": noise, "v_prediction": signal * noise - spread * x_0, "sample": x_0}
    return x_t, targets[schedule.prediction_type]


def denoising_step(
    model_output: Tensor, x_t: Tensor, t: Tensor, t_prev: Tensor, schedule: NoiseSchedule, eta: float = 1.0
) -> GaussianStep:
    """The policy at one state: mu_theta and sigma_t of a DDIM step from t to t_prev.

    With eta = 1 over all timesteps these are the mean and the variance of DDPM's posterior (Ho et al. 2020, equations 6
    and 7), also where the predicted picture is clipped: epsilon is derived from the clipped picture. Other code takes
    epsilon as the network gave it, as diffusers' DDIM does by default; `schedule.rederives_epsilon` says which.

    Args:
        model_output: (B, ...) what the network predicts for x_t at t.
        x_t: (B, ...) noisy pictures.
        t: (B,) int64 timesteps in 0 .. T - 1.
        t_prev: (B,) int64 timesteps to go to; negative for the last step, which is deterministic.
        schedule: the model's noise schedule.
        eta: share of DDPM's noise in [0, 1].
    """
    x_0 = predict_x_0(model_output, x_t, t, schedule)
    alpha_bar, alpha_bar_prev = schedule.alpha_bar(t, x_0), schedule.alpha_bar(t_prev, x_0)
    if schedule.rederives_epsilon:
        epsilon = (x_t.float() - alpha_bar.sqrt() * x_0) / (1 - alpha_bar).sqrt()
    else:
        epsilon = predict_epsilon(model_output, x_t, t, schedule)
    variance = (1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev)  # equation 16 at eta = 1
    std = eta * variance.clamp(min=0).sqrt()
    direction = (1 - alpha_bar_prev - std.square()).clamp(min=0).sqrt() * epsilon
    return GaussianStep(mean=alpha_bar_prev.sqrt() * x_0 + direction, std=std)  # equation 12


def trailing_timesteps(steps: int, num_timesteps: int, shift: float = 0.0) -> list[int]:
    """Evenly spaced timesteps from the noisiest down, "trailing" as Lin et al. 2024 call it: 999, 899, ..., 99.

    Args:
        steps: of a trajectory.
        num_timesteps: T of the noise schedule.
        shift: in [0, 1), share of the distance between two of them by which all are lower.
    """
    lower = int(shift * num_timesteps / steps)
    return [max(0, round(num_timesteps * (steps - i) / steps) - 1 - lower) for i in range(steps)]


def leading_timesteps(steps: int, num_timesteps: int) -> list[int]:
    """Evenly spaced timesteps down to 0, "leading" as Lin et al. 2024 call it: 900, 800, ..., 0.

    The trajectory begins with pure noise at a timestep where there should be some signal left.

    Args:
        steps: of a trajectory.
        num_timesteps: T of the noise schedule.
    """
    distance = num_timesteps // steps
    return [i * distance for i in reversed(range(steps))]

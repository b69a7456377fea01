"""Seeds to pictures, with any scheduler.

Every seed has a generator of its own, on the CPU whatever the device: a picture depends on its seed alone, not on its
place in a batch, and two models that are given the same seeds get the same noise at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ddpo.diffusion import footprint
from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.parts import in_parts
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.schedulers import SchedulerSpec, create_scheduler, get_scheduler
from ddpo.diffusion.step import GaussianStep, NoiseSchedule, denoising_step, predict_x_0

TOO_LARGE = (
    "The memory is not enough to draw one picture with this model; close other programs, or use a smaller model."
)
Denoise = Callable[[Tensor, Tensor], Tensor]  # (x_t, t) -> the network's prediction, (B, C, H, W) float32
Policy = Callable[[Tensor, Tensor, Tensor, float], GaussianStep]  # (x_t, t, t_prev, eta) -> p_theta(x_{t-1} | x_t)


@dataclass(frozen=True)
class DenoisingState:
    """Where the sampling stands after a step."""

    step: int  # 1 .. total
    total: int  # evaluations of the network
    x_t: Tensor  # (B, C, H, W) float32, the sample so far; the finished pictures when step == total
    x_0: Tensor  # (B, C, H, W) float32 in [-1, 1], the clean picture that the network saw before the step
    noise: float  # sqrt(1 - alpha_bar_t), the share of noise in what it saw, in [0, 1]


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator a seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw_noise(rngs: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal noise (B, *shape) float32, row i from generator i."""
    return torch.stack([torch.randn(shape, generator=rng) for rng in rngs]).to(device)


@torch.no_grad()
def sample(
    model: DiffusionModel,
    seeds: Sequence[int],
    scheduler: SchedulerSpec,
    steps: int,
    compute: Compute,
    eta: float = 0.0,
) -> Generator[DenoisingState]:
    """Denoise one picture a seed, yielding after every evaluation of the network.

    Closing the iterator stops between two steps. Where the memory does not suffice for all pictures at once, the
    network is evaluated for parts of them, one after the other.

    Args:
        model: the model to sample from.
        seeds: one a picture.
        scheduler: which one.
        steps: denoising steps; some schedulers evaluate the network more often than that.
        compute: device and dtype of the network.
        eta: DDIM's share of noise in [0, 1]; ignored by the others.

    Raises:
        UserError: the scheduler cannot take that number of steps, or the memory does not suffice for one picture.
    """
    rngs = generators(seeds)
    noise_scheduler = create_scheduler(scheduler, model.scheduler_config, steps)
    schedule = model.noise_schedule
    options = _step_options(scheduler, eta, rngs)
    x_t = draw_noise(rngs, model.picture_shape, compute.device) * noise_scheduler.init_noise_sigma
    total, at_once = len(noise_scheduler.timesteps), footprint.most_at_once(model.unet, len(seeds), compute)
    for i, t in enumerate(noise_scheduler.timesteps):
        x_in = noise_scheduler.scale_model_input(x_t, t)
        evaluate = partial(evaluate_unet, model.unet, t=t, compute=compute, fewest=footprint.FEWEST)
        output, at_once = in_parts(evaluate, x_in, at_once, TOO_LARGE)
        x_t = noise_scheduler.step(output, t, x_t, **options).prev_sample.float()
        x_0 = predict_x_0(output, x_in, t.long().expand(len(x_in)).to(x_in.device), schedule).clamp(-1, 1)
        yield DenoisingState(i + 1, total, x_t, x_0, float((1 - schedule.alphas_cumprod[t.long()]).sqrt()))


def sample_pictures(
    model: DiffusionModel,
    seeds: Sequence[int],
    scheduler: str,
    steps: int,
    compute: Compute,
    eta: float = 0.0,
    batch_size: int = 32,
) -> Tensor:
    """The finished pictures of `sample` for any number of seeds, with a scheduler by its name.

    Returns:
        (N, C, H, W) float32 in [-1, 1], on the CPU.
    """
    spec, finished = get_scheduler(scheduler), []
    for first in range(0, len(seeds), batch_size):
        for state in sample(model, seeds[first : first + batch_size], spec, steps, compute, eta):
            last = state.x_t
        finished.append(last.clamp(-1, 1).cpu())
    return torch.cat(finished)


def evaluate_unet(unet: nn.Module, x_t: Tensor, t: Tensor, compute: Compute, fewest: int = 2) -> Tensor:
    """The network's prediction for x_t: (B, C, H, W) at timestep t: () or (B,), in float32.

    Small batches take other CPU kernels and round differently, so they are filled up, and pictures do not depend on the
    size of their batch. One alone changed what PNDM draws in bfloat16 by 5 of 255 levels, two what DDIM draws in
    float32 by 1. A pass with gradients fills up to two, as all that is added takes memory.

    Args:
        unet: the network.
        x_t: (B, C, H, W) float32.
        t: () or (B,) whole numbers.
        compute: device and dtype.
        fewest: rows that a batch is filled up to, on a CPU.
    """
    lacking = fewest - len(x_t) if x_t.device.type == "cpu" else 0
    x_in, t = _with_more(x_t, lacking), t.to(x_t.device)
    if t.dim() > 0 and lacking > 0:
        t = _with_more(t.expand(len(x_t)), lacking)
    with compute.autocast():
        output = unet(x_in, t).sample
    return output[: len(x_t)].float()


def _with_more(rows: Tensor, count: int) -> Tensor:
    """The rows, and so many copies of the last one."""
    return torch.cat([rows, rows[-1:].expand(count, *rows.shape[1:])]) if count > 0 else rows


def bind(unet: nn.Module, compute: Compute) -> Denoise:
    """The network as a function of x_t and t alone, wherever and in whatever dtype it is evaluated."""
    return lambda x_t, t: evaluate_unet(unet, x_t, t, compute)


def policy_of(denoise: Denoise, schedule: NoiseSchedule) -> Policy:
    """The policy p_theta(x_{t-1} | x_t) that a network is with a noise schedule (see `denoising_step`)."""

    def step(x_t: Tensor, t: Tensor, t_prev: Tensor, eta: float) -> GaussianStep:
        return denoising_step(denoise(x_t, t), x_t, t, t_prev, schedule, eta)

    return step


def _step_options(spec: SchedulerSpec, eta: float, rngs: list[torch.Generator]) -> dict[str, object]:
    if spec.takes_eta:
        return {"eta": eta, "generator": rngs}
    return {"generator": rngs} if spec.stochastic else {}

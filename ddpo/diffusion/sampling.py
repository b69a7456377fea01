"""Seeds to pictures, with any scheduler; and trajectories with their log-probabilities, for training.

Every seed has a generator of its own, on the CPU whatever the device: a picture depends on its seed alone, not on its
place in a batch, and two models that are given the same seeds get the same noise at every step.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.schedulers import create_scheduler, get_scheduler
from ddpo.diffusion.step import NoiseSchedule, denoising_step, predict_x_0, trailing_timesteps


@dataclass(frozen=True)
class DenoisingState:
    """Where the sampling stands after a step."""

    step: int  # 1 .. total
    total: int  # evaluations of the network
    x_t: Tensor  # (B, C, H, W) float32, the sample so far; the finished pictures when step == total
    x_0: Tensor  # (B, C, H, W) float32 in [-1, 1], the clean picture that the network sees in it


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator a seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw_noise(rngs: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal noise (B, *shape) float32, row i from generator i."""
    return torch.stack([torch.randn(shape, generator=rng) for rng in rngs]).to(device)


@torch.no_grad()
def sample(
    model: DiffusionModel, seeds: Sequence[int], scheduler: str, steps: int, compute: Compute, eta: float = 0.0
) -> Generator[DenoisingState]:
    """Denoise one picture a seed, yielding after every evaluation of the network.

    Closing the iterator stops between two steps.

    Args:
        model: the model to sample from.
        seeds: one a picture.
        scheduler: a key of `schedulers.SCHEDULERS`.
        steps: denoising steps; some schedulers evaluate the network more often than that.
        compute: device and dtype of the network.
        eta: DDIM's share of noise in [0, 1]; ignored by the others.

    Raises:
        UserError: unknown scheduler or a number of steps that it cannot take.
    """
    rngs = generators(seeds)
    noise_scheduler = create_scheduler(scheduler, model.scheduler_config, steps)
    schedule = model.noise_schedule
    options = _step_options(scheduler, eta, rngs)
    x_t = draw_noise(rngs, model.picture_shape, compute.device) * noise_scheduler.init_noise_sigma
    total = len(noise_scheduler.timesteps)
    for i, t in enumerate(noise_scheduler.timesteps):
        x_in = noise_scheduler.scale_model_input(x_t, t)
        output = evaluate_unet(model.unet, x_in, t, compute)
        x_t = noise_scheduler.step(output, t, x_t, **options).prev_sample.float()
        x_0 = predict_x_0(output, x_in, t.long().expand(len(x_in)).to(x_in.device), schedule).clamp(-1, 1)
        yield DenoisingState(i + 1, total, x_t, x_0)


def sample_pictures(
    model: DiffusionModel,
    seeds: Sequence[int],
    scheduler: str,
    steps: int,
    compute: Compute,
    eta: float = 0.0,
    batch_size: int = 32,
) -> Tensor:
    """The finished pictures of `sample` for any number of seeds: (N, C, H, W) float32 in [-1, 1], on the CPU."""
    finished = []
    for first in range(0, len(seeds), batch_size):
        for state in sample(model, seeds[first : first + batch_size], scheduler, steps, compute, eta):
            last = state.x_t
        finished.append(last.clamp(-1, 1).cpu())
    return torch.cat(finished)


def evaluate_unet(unet: nn.Module, x_t: Tensor, t: Tensor, compute: Compute) -> Tensor:
    """The network's prediction for x_t: (B, C, H, W) at timestep t: () or (B,), in float32.

    A batch of one takes other CPU kernels than larger batches and rounds differently: in bfloat16 PNDM turned that into
    5 of 255 levels. So it is evaluated as a batch of two, and pictures do not depend on the size of their batch.
    """
    alone = len(x_t) == 1 and x_t.device.type == "cpu"
    x_in = x_t.expand(2, *x_t.shape[1:]) if alone else x_t
    t = t.to(x_t.device)
    if t.dim() > 0:
        t = t.expand(len(x_in))
    with compute.autocast():
        output = unet(x_in, t).sample
    return output[: len(x_t)].float()


def _step_options(scheduler: str, eta: float, rngs: list[torch.Generator]) -> dict[str, object]:
    spec = get_scheduler(scheduler)
    if spec.takes_eta:
        return {"eta": eta, "generator": rngs}
    return {"generator": rngs} if spec.stochastic else {}


@dataclass(frozen=True)
class Trajectory:
    """What a policy did: B finished pictures, and K of the steps that led to them."""

    pictures: Tensor  # (B, C, H, W) float32 in [-1, 1]
    states: Tensor  # (K, B, C, H, W) float32, x_t before each of the steps
    actions: Tensor  # (K, B, C, H, W) float32, x_{t-1} after it
    timesteps: Tensor  # (K,) int64, t of each step
    previous_timesteps: Tensor  # (K,) int64, t_prev of each step; -1 for the last of a trajectory
    log_probs: Tensor  # (K, B) float32, averaged over pixels; 0 where the step is deterministic


@torch.no_grad()
def roll_out(
    unet: nn.Module,
    schedule: NoiseSchedule,
    rngs: Sequence[torch.Generator],
    shape: tuple[int, int, int],
    steps: int,
    compute: Compute,
    eta: float = 1.0,
    recorded: Sequence[int] | None = None,
    window: range | None = None,
    group_size: int = 1,
    shift: float = 0.0,
) -> Trajectory:
    """Sample trajectories from the policy, by DDIM steps at evenly spaced timesteps.

    With a window only its steps are noisy and all others are deterministic (MixGRPO, Li et al. 2025), and the members
    of a group share their starting noise and all steps before it, which are computed once (Flow-GRPO-Fast, Liu et al.
    2025).

    Args:
        unet: the network, in eval mode.
        schedule: its noise schedule.
        rngs: B generators, the noise of each sample; a group starts from the noise of its first.
        shape: (C, H, W) of a sample.
        steps: S >= 1.
        compute: device and dtype of the network.
        eta: share of DDPM's noise in the noisy steps, in (0, 1].
        recorded: the steps to keep, each in 0 .. S - 1, in the order wanted; None keeps all.
        window: the steps that are noisy; None makes all of them noisy but the last.
        group_size: samples in a group, a divisor of B; above 1 only with a window.
        shift: of the timesteps, as in `trailing_timesteps`.
    """
    times = trailing_timesteps(steps, schedule.num_timesteps, shift)
    noisy = range(steps - 1) if window is None else window
    kept = range(steps) if recorded is None else recorded
    x_t = draw_noise(rngs[::group_size], shape, compute.device)
    states, actions, log_probs = {}, {}, {}  # by step
    for index, (t, t_prev) in enumerate(zip(times, [*times[1:], -1], strict=True)):
        if index == noisy.start:
            x_t = x_t.repeat_interleave(group_size, 0)  # (B, C, H, W) from here on
        t_now = torch.full((len(x_t),), t, device=x_t.device)
        output = evaluate_unet(unet, x_t, t_now, compute)
        is_noisy = index in noisy
        step = denoising_step(output, x_t, t_now, torch.full_like(t_now, t_prev), schedule, eta if is_noisy else 0.0)
        x_prev = step.sample(draw_noise(rngs, shape, x_t.device)) if is_noisy else step.mean
        if index in kept:
            states[index], actions[index] = x_t, x_prev
            log_probs[index] = step.log_prob(x_prev)
        x_t = x_prev
    previous = [*times[1:], -1]
    return Trajectory(
        pictures=x_t.clamp(-1, 1),
        states=_stacked([states[index] for index in kept], x_t),
        actions=_stacked([actions[index] for index in kept], x_t),
        timesteps=torch.tensor([times[index] for index in kept], dtype=torch.int64),
        previous_timesteps=torch.tensor([previous[index] for index in kept], dtype=torch.int64),
        log_probs=_stacked([log_probs[index] for index in kept], x_t.new_empty(len(x_t))),
    )


def _stacked(tensors: list[Tensor], like: Tensor) -> Tensor:
    """(K, *like.shape), also for K = 0."""
    return torch.stack(tensors) if tensors else like.new_empty(0, *like.shape)

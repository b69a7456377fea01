"""DDPO-IS (Black et al. 2023, arXiv 2305.13301, algorithm 1) for an unconditional diffusers model, in one file.

    python examples/ddpo_minimal.py assets/church-64/base --epochs 10 --out my-model

It needs torch and diffusers only. `ddpo/training` does the same with everything that a long run wants: checkpoints,
several processes, a KL penalty, windows and groups, an average of the weights. tests/test_example.py shows that the
first update of both moves the weights alike.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # not needed, and not all of its wheels load
from diffusers import DDPMPipeline  # noqa: E402


@dataclass
class Args:
    """Hyperparameters, those of the paper but for the size of a run."""

    epochs: int = 10
    batches: int = 2  # of samples, and optimizer steps, in an epoch
    batch_size: int = 32
    steps: int = 10  # S, denoising steps of a trajectory
    eta: float = 1.0  # share of DDPM's noise
    clip_range: float = 1e-4  # of the importance ratio; small, as log-probabilities are means over the pixels
    advantage_clip: float = 5.0
    learning_rate: float = 1e-4
    max_grad_norm: float = 1.0
    seed: int = 0


def colourfulness(x_0: Tensor) -> Tensor:
    """The reward r(x_0): Hasler and Suesstrunk 2003, equation 12, of pictures (B, 3, H, W) in [-1, 1]."""
    red, green, blue = ((x_0 + 1) * 127.5).flatten(2).unbind(1)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = (rg.var(1, unbiased=False) + yb.var(1, unbiased=False)).sqrt()
    return spread + 0.3 * (rg.mean(1).square() + yb.mean(1).square()).sqrt()


def policy(pipe: DDPMPipeline, x_t: Tensor, t: int, t_prev: int, eta: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of p_theta(x_{t-1} | x_t): DDIM's step (Song et al. 2021, equations 12 and 16)."""
    config, alphas = pipe.scheduler.config, pipe.scheduler.alphas_cumprod
    a, a_prev = alphas[t], alphas[t_prev] if t_prev >= 0 else torch.ones(())
    output = pipe.unet(x_t, t).sample
    if config.prediction_type == "epsilon":
        x_0 = (x_t - (1 - a).sqrt() * output) / a.sqrt()
    else:  # v_prediction (Salimans and Ho 2022)
        x_0 = a.sqrt() * x_t - (1 - a).sqrt() * output
    if config.clip_sample:
        x_0 = x_0.clamp(-config.clip_sample_range, config.clip_sample_range)
    epsilon = (x_t - a.sqrt() * x_0) / (1 - a).sqrt()
    std = eta * ((1 - a_prev) / (1 - a) * (1 - a / a_prev)).sqrt()
    return a_prev.sqrt() * x_0 + (1 - a_prev - std.square()).sqrt() * epsilon, std


def log_prob(x_prev: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log p_theta(x_{t-1} | x_t), averaged over the pixels: (B,)."""
    z = (x_prev - mean) / std
    return (-0.5 * z.square() - std.log() - 0.5 * math.log(2 * math.pi)).flatten(1).mean(1)


def timesteps(pipe: DDPMPipeline, steps: int) -> list[tuple[int, int]]:
    """(t, t_prev) of every step, evenly spaced from the noisiest down; t_prev is -1 at the end."""
    total = pipe.scheduler.config.num_train_timesteps
    times = [round(total * (steps - i) / steps) - 1 for i in range(steps)]
    return list(zip(times, [*times[1:], -1], strict=True))


@torch.no_grad()
def sample(pipe: DDPMPipeline, args: Args, rngs: list[torch.Generator]) -> tuple[Tensor, list[dict[str, Any]]]:
    """Trajectories from the policy, a generator each: the pictures, and every step but the last, which has no noise."""

    def noise() -> Tensor:
        return torch.stack([torch.randn(shape, generator=rng) for rng in rngs]).to(pipe.device)

    size, config = pipe.unet.config.sample_size, pipe.unet.config
    shape = (config.in_channels, *((size, size) if isinstance(size, int) else size))
    x_t, recorded = noise(), []
    for t, t_prev in timesteps(pipe, args.steps):
        mean, std = policy(pipe, x_t, t, t_prev, args.eta if t_prev >= 0 else 0.0)
        x_prev = mean + std * noise() if std > 0 else mean
        if std > 0:
            old = log_prob(x_prev, mean, std)
            recorded.append({"x_t": x_t, "x_prev": x_prev, "t": t, "t_prev": t_prev, "old_log_prob": old})
        x_t = x_prev
    pictures = ((x_t.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1  # the 8 bits that are shown and saved
    return pictures, recorded


def update(
    pipe: DDPMPipeline, optimizer: torch.optim.Optimizer, args: Args, recorded: list[dict[str, Any]], advantage: Tensor
) -> None:
    """One optimizer step on one batch: the clipped objective (equation 4), summed over the trajectory."""
    for step in recorded:
        mean, std = policy(pipe, step["x_t"], step["t"], step["t_prev"], args.eta)
        ratio = torch.exp(log_prob(step["x_prev"], mean, std) - step["old_log_prob"])  # 1 on the first pass
        clipped = ratio.clamp(1 - args.clip_range, 1 + args.clip_range)
        loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        (loss / len(recorded)).backward()
    torch.nn.utils.clip_grad_norm_(pipe.unet.parameters(), args.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()


def train(pipe: DDPMPipeline, args: Args) -> None:
    """Algorithm 1: sample, score, and follow the policy gradient, epoch by epoch."""
    pipe.unet.eval()  # the same in both passes, so that the ratio is exactly 1 on the first
    optimizer = torch.optim.AdamW(pipe.unet.parameters(), lr=args.learning_rate, weight_decay=0.0)
    rng = torch.Generator().manual_seed(args.seed)
    for epoch in range(args.epochs):
        seeds = torch.randint(2**40, 2**60, (args.batches, args.batch_size), generator=rng).tolist()
        batches = [sample(pipe, args, [torch.Generator().manual_seed(seed) for seed in row]) for row in seeds]
        rewards = torch.stack([colourfulness(pictures) for pictures, _ in batches])
        advantage = (rewards - rewards.mean()) / (rewards.std(unbiased=False) + 1e-8)
        advantage = advantage.clamp(-args.advantage_clip, args.advantage_clip)
        for (_, recorded), row in zip(batches, advantage, strict=True):
            update(pipe, optimizer, args, recorded, row)
        print(f"epoch {epoch + 1}/{args.epochs}  reward {rewards.mean():.2f} ± {rewards.std():.2f}", flush=True)


def main() -> None:
    """Finetune a model and save the result as a diffusers pipeline."""
    parser = argparse.ArgumentParser(description="DDPO-IS for an unconditional diffusers model, on colourfulness.")
    parser.add_argument("model", help="folder or Hub id of a DDPMPipeline")
    parser.add_argument("--out", help="folder for the result")
    for name, default in vars(Args()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    options = vars(parser.parse_args())
    source, out = options.pop("model"), options.pop("out")
    pipe = DDPMPipeline.from_pretrained(source).to("cuda" if torch.cuda.is_available() else "cpu")
    train(pipe, Args(**options))
    if out:
        pipe.save_pretrained(out)


if __name__ == "__main__":
    main()

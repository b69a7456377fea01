"""How long until a model has gained half a standard deviation, and a whole one: recipes against a plain loop of DDPO.

    python -m benchmarks.race                            # goes on where it was stopped
    python -m benchmarks.race --only quick fast
    python -m benchmarks.race --only loop-1e-4 --limit 1200

The plain loop is DDPO as the author of alkzar90/ddpo-aesthetic-church-256 describes it (github.com/alcazar90/
ddpo-celebahq), written anew here with torch and diffusers alone: float32, 20 "leading" steps of DDIM with eta 1, all of
them trained on, 100 pictures an epoch in batches of 10, an update for each batch, advantages over the batch clipped
at 10. Its learning rate is tried at four values.

All start from church-64's base and follow `photographic`. After an epoch 64 seeds that no run draws are drawn with DDIM
50, in the precision of the app; late in a run only when a sixth more has been trained. Seconds are processor time of
training alone, with one thread. A contender ends with a gain of one standard deviation, with its recipe, or at the
limit. Writes benchmarks/results/race.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

import ddpo
from benchmarks.held_out import REWARD, Eye, epochs, start
from benchmarks.machine import describe_machine
from ddpo import rewards
from ddpo.church64.figures import read_figures, write_figures
from ddpo.church64.judge import as_json
from ddpo.diffusion.catalogue import DEFAULT_PAIR
from ddpo.diffusion.models import DiffusionModel, load_model
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.rewards import Reward
from ddpo.runs.pairs import get_pair
from ddpo.training.config import TrainConfig
from ddpo.training.recipes import get_recipe

RESULTS = Path(__file__).resolve().parent / "results" / "race.json"
GOALS = (0.5, 1.0)  # gain in standard deviations of the base's scores
RATES = (5e-5, 1e-4, 2e-4, 4e-4)
LIMIT = 400.0  # seconds of processor time
LATER = 7 / 6  # of the seconds at a look, after which the next one follows
# The recipes, and what `short` was before it had a window and groups.
RECIPES: dict[str, TrainConfig] = {
    **{name: get_recipe(name).config for name in ("quick", "fast", "short")},
    "short-before": TrainConfig(
        epochs=20, batches_per_epoch=4, batch_size=16, accumulation=2, sampling_steps=20, trained_steps=5,
        learning_rate=2e-5, kl_weight=0.02, ema_decay=0.9, gradient_checkpointing=True,
    ),
}  # fmt: skip
CONTENDERS = (*RECIPES, *(f"loop-{rate:.0e}".replace("e-0", "e-") for rate in RATES))

Network = tuple[int, nn.Module, bool]  # pictures drawn so far, what would be the result, and whether it is the end


class PlainLoop:
    """DDPO as its simplest implementations have it.

    Args:
        model: to be finetuned, in float32.
        reward: of pictures (B, C, H, W) in [-1, 1].
        learning_rate: AdamW's.
    """

    STEPS, BATCHES, BATCH = 20, 10, 10  # denoising steps; batches of an epoch; pictures of a batch
    CLIP_RANGE, ADVANTAGE_CLIP = 1e-4, 10.0

    def __init__(self, model: DiffusionModel, reward: Reward, learning_rate: float) -> None:
        self.model, self.reward = model, reward
        model.unet.requires_grad_(True)
        self.scheduler = DDIMScheduler.from_config(model.scheduler_config)
        self.scheduler.set_timesteps(self.STEPS)
        self.optimizer = torch.optim.AdamW(model.unet.parameters(), lr=learning_rate, weight_decay=1e-4)
        self.rng = torch.Generator().manual_seed(0)

    def epochs(self) -> Iterator[Network]:
        """The network after each epoch, without end."""
        for epoch in count(1):
            for states, sampled, scores in [self.sample() for _ in range(self.BATCHES)]:
                advantages = (scores - scores.mean()) / (scores.std() + 1e-8)
                self.update(states, sampled, advantages.clamp(-self.ADVANTAGE_CLIP, self.ADVANTAGE_CLIP))
            yield epoch * self.BATCHES * self.BATCH, self.model.unet, False

    @torch.no_grad()
    def sample(self) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The states of a batch from noise to picture, the log-probabilities of its steps, and the pictures' scores."""
        x = torch.randn(self.BATCH, *self.model.picture_shape, generator=self.rng)
        states, log_probabilities = [x], []
        for index in range(self.STEPS):
            mean, sigma = self.step(x, index)
            x = mean + sigma * torch.randn(x.shape, generator=self.rng)
            states.append(x)
            log_probabilities.append(log_probability(x, mean, sigma))
        return states, log_probabilities, self.reward(from_uint8(to_uint8(x)))

    def update(self, states: list[Tensor], sampled: list[Tensor], advantages: Tensor) -> None:
        """One update, of all steps but the last, which has no density."""
        for index in range(self.STEPS - 1):
            ratio = (log_probability(states[index + 1], *self.step(states[index], index)) - sampled[index]).exp()
            clipped = ratio.clamp(1 - self.CLIP_RANGE, 1 + self.CLIP_RANGE)
            loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
            loss.backward()
        nn.utils.clip_grad_norm_(self.model.unet.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def step(self, x: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the step from a timestep to the next (Song et al. 2021, equation 12, eta 1).

        Where the predicted picture is clipped, the noise stays as the network gave it.
        """
        t = int(self.scheduler.timesteps[index])
        before = t - self.scheduler.config.num_train_timesteps // self.STEPS
        a = self.scheduler.alphas_cumprod[t]
        b = self.scheduler.alphas_cumprod[before] if before >= 0 else torch.ones(())
        sigma = ((1 - b) / (1 - a) * (1 - a / b)).sqrt()
        output = self.model.unet(x, t).sample
        step = self.scheduler.step(output, t, x, eta=1.0, variance_noise=torch.zeros_like(x))
        return step.prev_sample, sigma


def log_probability(x: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """Of a step, as a mean over the pixels and but for a constant: (B,). It says nothing where sigma is 0."""
    return -((x - mean) / sigma).square().flatten(1).mean(1) / 2


def recipe_epochs(name: str, compute: Compute) -> Iterator[Network]:
    """The result after each epoch of a recipe."""
    config = RECIPES[name]
    trainer = start(config, compute)
    for epoch in epochs(trainer):
        yield epoch * config.samples_per_epoch(), trainer.result(), epoch == config.epochs


def epochs_of(contender: str, compute: Compute) -> Iterator[Network]:
    """The network after each epoch of a contender."""
    if contender in RECIPES:
        return recipe_epochs(contender, compute)
    exactly = choose_compute("float32")
    model = load_model(get_pair(DEFAULT_PAIR).base, exactly)
    return PlainLoop(model, rewards.load(REWARD, exactly), float(contender.removeprefix("loop-"))).epochs()


def race(contender: str, eye: Eye, limit: float) -> dict[str, Any]:
    """One contender from its start to a gain of the last goal, its end, or the limit."""
    looks: list[dict[str, Any]] = []
    seconds = looked = 0.0
    stages = epochs_of(contender, eye.compute)
    pictures, ended = eye.base_pictures, False
    while not ended:
        started = time.process_time()
        drawn, unet, ended = next(stages)
        seconds += time.process_time() - started
        ended |= seconds >= limit
        if ended or seconds >= LATER * looked:
            looked, pictures = seconds, eye.draw(unet)
            looks.append({"pictures": drawn, "seconds": round(seconds, 1), **eye.look(pictures)})
            print(contender, looks[-1], flush=True)
            ended |= looks[-1]["gain"] >= GOALS[-1]
    reached = {str(goal): next((look for look in looks if look["gain"] >= goal), None) for goal in GOALS}
    return {"reached": reached, "looks": looks, "judge": as_json(eye.judge(pictures))}


def main() -> None:
    """Do what is missing, and write after every contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.race", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of processor time for each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    eye = Eye()
    facts = {
        "machine": describe_machine(), "compute": str(eye.compute), "threads": 1, "ddpo": ddpo.__version__,
        "reward": REWARD, "base": {"judge": as_json(eye.judge(eye.base_pictures))},
    }  # fmt: skip
    for contender in options.only:
        if contender not in finished():
            found = race(contender, eye, options.limit)
            rows = {**finished(), contender: found}
            write_figures(RESULTS, {**facts, "contenders": {name: rows[name] for name in CONTENDERS if name in rows}})


def finished() -> dict[str, Any]:
    """The contenders on disk, read anew: another process may do a part of the work."""
    return read_figures(RESULTS)["contenders"] if RESULTS.exists() else {}


if __name__ == "__main__":
    main()

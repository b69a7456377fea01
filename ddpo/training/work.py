"""How much a run computes, in evaluations of the network, from its settings alone. Torch is not imported here."""

from __future__ import annotations

import math

from ddpo.diffusion.schedulers import SCHEDULERS
from ddpo.training.config import TrainConfig

# Evaluations that a pass with gradients takes, at the least: 3.1 in float32 with church-64, 4.3 in bfloat16
# (benchmarks/results/precision.json). So shares of the time that are made of it are not exceeded.
TRAINING_PASS = 3.0


def passes_of_a_picture(config: TrainConfig) -> tuple[float, float]:
    """Evaluations of the network that a picture of an epoch takes, and passes with gradients."""
    passes = float(config.inner_epochs * config.trained_steps)
    evaluations = float(config.sampling_steps)
    if config.window != "random":  # what a group shares is evaluated once
        shared = sum(config.window_starts) / len(config.window_starts)
        evaluations -= shared * (1 - 1 / config.group_size)
    if config.algorithm == "draft":
        through = (1 + config.trained_steps) / 2 if config.truncation == "random" else config.trained_steps
        passes = config.inner_epochs * (through + config.noisings)
        evaluations += passes  # of the base
    elif config.algorithm == "rwr":
        evaluations += passes if config.kl_weight > 0 else 0  # of the base, with new noise each time
    else:  # the base's evaluations for the KL divergence are kept over the inner epochs
        evaluations += config.trained_steps if config.kl_weight > 0 else 1
    if config.gradient_checkpointing:
        evaluations += passes
    return evaluations, passes


def evaluations_of_the_eye(config: TrainConfig) -> int:
    """Of the network, one after another, that each held-out picture takes."""
    return config.eval_steps * SCHEDULERS[config.eval_scheduler].evaluations


def evaluated_epochs(config: TrainConfig) -> tuple[int, ...]:
    """After how many epochs the held-out seeds are drawn: 0, every so many, and the last; () where that is off.

    `eval_share` is a share of the work and not of the clock, so that a run which is stopped, or goes on elsewhere,
    draws them after the same epochs. The base and the last epoch are always drawn, however small the share.
    """
    if config.eval_seeds == 0:
        return ()
    evaluations, passes = passes_of_a_picture(config)
    training = config.epochs * config.samples_per_epoch() * (evaluations + TRAINING_PASS * passes)
    each = config.eval_seeds * evaluations_of_the_eye(config)
    every = config.eval_every
    if config.eval_share < 1:
        most = math.floor(config.eval_share / (1 - config.eval_share) * training / each + 1e-9)
        every = max(every, math.ceil(config.epochs / max(1, most - 1)))
    return (*range(0, config.epochs, every), config.epochs)

"""The settings of training in words and in groups, and which of them are out of use beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ddpo.common.words import is_finite
from ddpo.training.config import GRADIENT_ALGORITHMS
from ddpo.training.consistency import OF_DRAFT

GROUPS: dict[str, dict[str, str]] = {
    "Sampling": {
        "batches_per_epoch": "Batches an epoch",
        "batch_size": "Pictures in a batch",
        "sampling_steps": "Denoising steps",
        "trained_steps": "Steps that are trained on",
        "eta": "Noise in the steps",
        "timesteps": "Spacing of the timesteps",
        "shift_timesteps": "Shift the timesteps at random",
        "clipped_epsilon": "Noise of a clipped step",
        "window": "Where the trained steps lie",
        "window_first": "Earliest begin of a window",
        "window_last": "Latest begin of a window",
        "group_size": "Pictures that share their way",
        "seed": "Seed of all random numbers",
    },
    "Objective": {
        "algorithm": "Algorithm",
        "kl_weight": "Weight of the KL penalty",
        "diversity_floor": "Diversity to keep",
        "inner_epochs": "Passes over the samples",
        "clip_range": "Clip range of the ratio",
        "baseline": "Baseline of a reward",
        "advantages_over": "Advantages are taken over",
        "advantage_clip": "Largest advantage",
        "rwr_weights": "Weights of the samples",
        "temperature": "Temperature of the weights",
        "best_share": "Share of the best samples",
        "truncation": "Cut of the reward's gradient",
        "noisings": "Noisings of a picture",
        "output_penalty": "Penalty on the output's change",
        "penalty_on": "What that penalty is of",
    },
    "Optimiser": {
        "learning_rate": "Learning rate",
        "warmup_epochs": "Epochs of warm-up",
        "warmup_from": "Warm-up begins at a share of",
        "final_learning_rate": "Share of the rate in the end",
        "decay": "How the rate falls",
        "decay_from": "Where the fall begins",
        "rate_per": "The rate changes with every",
        "weight_decay": "Weight decay",
        "max_grad_norm": "Longest gradient",
        "accumulation": "Parts of a batch",
        "gradient_checkpointing": "Compute activations twice",
    },
    "Weights": {
        "weights": "Weights that are trained",
        "lora_rank": "Rank of the updates",
        "ema_decay": "Averaging of the weights",
        "keep": "Weights that are the result",
        "keep_every": "Keep every so many epochs",
    },
    "Limits and held-out seeds": {
        "epochs": "Epochs",
        "eval_seeds": "Held-out seeds",
        "eval_every": "Epochs between two looks",
        "eval_scheduler": "Scheduler of a look",
        "eval_steps": "Steps of a look",
        "eval_share": "Share of the work for looks",
        "stop_gain": "Gain that ends the run",
        "stop_diversity": "Diversity that ends the run",
    },
}
TITLES = {name: title for group in GROUPS.values() for name, title in group.items()}


def out_of_use(values: Mapping[str, Any]) -> dict[str, str]:
    """Settings that have no effect beside the others: their names, each with the reason.

    Args:
        values: all settings as they are in the form, acceptable or not.
    """
    algorithm = values["algorithm"]
    reasons: dict[str, str] = {}

    def unless(needed: bool, reason: str, *names: str) -> None:
        reasons.update({name: reason for name in names if not needed and name not in reasons})

    draft, rwr = algorithm in GRADIENT_ALGORITHMS, algorithm == "rwr"
    unless(algorithm == "ddpo-is", "ddpo-is alone clips a ratio", "clip_range")
    unless(draft, "of algorithm draft alone", *OF_DRAFT)
    unless(not draft, "draft has no policy", "kl_weight", "advantage_clip", "advantages_over", "baseline")
    unless(rwr, "of algorithm rwr alone", "rwr_weights", "temperature", "best_share")
    best = values["rwr_weights"] == "best"
    unless(best, "of rwr_weights best alone", "best_share")
    unless(not best, "rwr_weights best has none", "temperature")
    unless(values["window"] != "random", "the window is random", "window_first", "window_last")
    unless(values["weights"] == "lora", "weights is not lora", "lora_rank")
    warmup, epochs = values["warmup_epochs"], values["epochs"]
    too_long = is_finite(warmup) and is_finite(epochs) and warmup > epochs
    unless(not too_long, f"above epochs ({epochs}), so the full learning rate is never reached", "warmup_epochs")
    unless(warmup != 0, "warmup_epochs is 0", "warmup_from")
    unless(values["final_learning_rate"] != 1, "the learning rate does not fall", "decay", "decay_from")
    looks = "eval_every", "eval_scheduler", "eval_steps", "eval_share", "keep", "stop_gain", "stop_diversity"
    unless(values["eval_seeds"] != 0, "eval_seeds is 0", *looks)
    return reasons

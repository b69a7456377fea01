"""Settings that do not go together, each with the sentence that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddpo.diffusion.schedulers import SCHEDULERS, check_steps
from ddpo.errors import UserError

if TYPE_CHECKING:
    from ddpo.training.config import TrainConfig

# Settings of algorithm draft alone, and what they are with any other.
OF_DRAFT = {"noisings": 0, "truncation": "fixed", "output_penalty": 0, "penalty_on": "output"}


def check(config: TrainConfig) -> None:
    """Refuse a config, each of whose settings is in range, if two of them do not go together.

    Raises:
        UserError: the sentence names them.
    """
    _check_steps(config)
    if config.algorithm == "draft":
        _check_draft(config)
    elif any(getattr(config, name) != value for name, value in OF_DRAFT.items()):
        raise UserError(
            "noisings, truncation, output_penalty and penalty_on are settings of algorithm draft: set them to 0, "
            f"fixed, 0 and output with {config.algorithm}."
        )
    _check_algorithm(config)
    _check_samples(config)
    _check_evaluation(config)


def check_timesteps(config: TrainConfig, num_timesteps: int) -> None:
    """Refuse more steps than the noise schedule of the model has; raises UserError."""
    if config.sampling_steps > num_timesteps:
        raise UserError(
            f"sampling_steps ({config.sampling_steps}) must be at most {num_timesteps}, the timesteps of this model."
        )
    if config.eval_seeds > 0 and config.eval_steps > num_timesteps:
        raise UserError(
            f"eval_steps ({config.eval_steps}) must be at most {num_timesteps}, the timesteps of this model."
        )


def _check_steps(config: TrainConfig) -> None:
    most = config.sampling_steps - (config.algorithm != "draft")
    if config.trained_steps > most:
        if config.algorithm == "draft":
            raise UserError(
                f"trained_steps ({config.trained_steps}) must be at most sampling_steps ({config.sampling_steps})."
            )
        raise UserError(
            f"trained_steps ({config.trained_steps}) must be below sampling_steps ({config.sampling_steps}): "
            "the last step of a trajectory is deterministic and cannot be trained on."
        )
    if config.eta == 0 and config.algorithm not in ("draft", "rwr"):
        raise UserError("eta must be above 0: without noise there is no policy, but for algorithms draft and rwr.")
    if config.timesteps == "leading" and config.shift_timesteps:
        raise UserError("shift_timesteps moves timesteps down, and leading ones end at 0: set one of the two back.")
    if config.window == "random" and config.group_size > 1:
        raise UserError("group_size above 1 needs window to be sliding or drawn, as a group shares its way there.")
    if config.window != "random" and config.algorithm != "draft" and not config.window_starts:
        latest = config.sampling_steps - 1 - config.trained_steps
        raise UserError(
            f"window_first ({config.window_first}) must be at most window_last ({config.window_last}) and at most "
            f"{latest}, where the last window of {config.trained_steps} trained steps begins."
        )


def _check_draft(config: TrainConfig) -> None:
    if config.window != "random" or config.kl_weight > 0:
        raise UserError(
            "algorithm draft trains on the last steps and has no policy: set window to random, group_size to 1 and "
            "kl_weight to 0 with it, and output_penalty in place of kl_weight."
        )
    if config.noisings > 0 and config.trained_steps > 1:
        raise UserError(
            f"noisings ({config.noisings}) are of the last step alone: set trained_steps to 1 with them, or noisings "
            "to 0."
        )
    if config.diversity_floor > 0 and config.output_penalty == 0:
        raise UserError(
            f"diversity_floor ({config.diversity_floor:g}) needs an output_penalty above 0 with algorithm draft, as it "
            "is the penalty that brings variety back: set diversity_floor to 0 as well, or output_penalty above it."
        )


def _check_algorithm(config: TrainConfig) -> None:
    if config.algorithm == "rwr" and (config.diversity_floor > 0 or config.window != "random"):
        raise UserError(
            "algorithm rwr weighs samples and has no policy steps: set diversity_floor to 0, window to random and "
            "group_size to 1 with it."
        )
    if config.algorithm != "rwr" and config.rwr_weights != "advantage":
        raise UserError(f"rwr_weights is a setting of algorithm rwr: set it to advantage with {config.algorithm}.")
    if config.diversity_floor > 0 and config.kl_weight == 0 and config.algorithm != "draft":
        raise UserError(
            f"diversity_floor ({config.diversity_floor:g}) needs a kl_weight above 0, as it is the KL penalty that "
            "brings variety back: set diversity_floor to 0 as well, or kl_weight above it."
        )
    if config.algorithm == "ddpo-sf" and config.inner_epochs > 1:
        raise UserError("algorithm ddpo-sf holds for fresh samples only: set inner_epochs to 1 with it.")


def _check_samples(config: TrainConfig) -> None:
    if config.batch_size % config.accumulation or config.part_size % config.group_size:
        raise UserError(
            f"batch_size ({config.batch_size}) must be a multiple of accumulation ({config.accumulation}) times "
            f"group_size ({config.group_size})."
        )
    if config.advantages_over == "batch" and config.batch_size == 1 and config.samples_per_epoch() > 1:
        raise UserError("advantages_over batch needs a batch_size above 1: a single sample has no advantage.")
    if config.baseline == "leave-one-out" and config.group_size == 1 and config.samples_per_epoch() == 1:
        raise UserError("baseline leave-one-out needs at least 2 samples an epoch: there are no others otherwise.")


def _check_evaluation(config: TrainConfig) -> None:
    if config.eval_seeds == 1:
        raise UserError("eval_seeds must be 0 or at least 2: one picture has neither a diversity nor a standard error.")
    if config.eval_seeds > 0:
        check_steps(SCHEDULERS[config.eval_scheduler], config.eval_steps)
    elif config.keep == "best" or config.stop_gain > 0 or config.stop_diversity > 0:
        raise UserError(
            "keep best, stop_gain and stop_diversity go by the held-out seeds: set eval_seeds above 0 with them, to 64 "
            "for example."
        )

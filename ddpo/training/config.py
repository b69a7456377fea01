"""How a model is finetuned: one frozen dataclass, of which the command line, the form and the run folder are made.

Neither torch nor anything else that is slow is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from ddpo.errors import UserError
from ddpo.training.setting import Setting, _setting


@dataclass(frozen=True)
class TrainConfig:
    """How a model is finetuned.

    Raises:
        UserError: a value is of the wrong type or out of range, or two do not go together; the sentence names them.
    """

    algorithm: str = _setting(
        "ddpo-is",
        "ddpo-is: clipped importance sampling; ddpo-sf: score function; rwr: reward-weighted regression",
        choices=("ddpo-is", "ddpo-sf", "rwr"),
    )
    epochs: int = _setting(30, "rounds of sampling and training", 1, 100_000)
    batches_per_epoch: int = _setting(4, "batches sampled, and optimizer steps made, in an epoch", 1, 10_000)
    batch_size: int = _setting(16, "pictures in a batch, on each process", 1, 10_000)
    accumulation: int = _setting(1, "parts that a batch is sampled and trained in, to save memory", 1, 10_000)
    sampling_steps: int = _setting(20, "denoising steps of a trajectory", 2, 1000)
    shift_timesteps: bool = _setting(
        False,
        "shift the timesteps at random from batch to batch, so that all are trained on, not only "
        "sampling_steps of them; samplers with other timesteps then gain as much",
    )
    eta: float = _setting(1.0, "share of DDPM's noise in the steps of the policy", 0, 1, open_low=True)
    trained_steps: int = _setting(5, "steps of each trajectory that are trained on, fewer than sampling_steps", 1, 999)
    window: str = _setting(
        "random",
        "random: the trained steps lie anywhere; sliding or drawn: they follow each other and only they are noisy, "
        "and the window moves on from batch to batch, or is drawn anew (MixGRPO, Flow-GRPO-Fast)",
        choices=("random", "sliding", "drawn"),
    )
    window_first: int = _setting(0, "earliest step at which a window may begin", 0, 999)
    window_last: int = _setting(999, "latest step at which a window may begin", 0, 999)
    group_size: int = _setting(
        1, "pictures that share their way up to the window and are judged against each other; 1: no groups", 1, 10_000
    )
    baseline: str = _setting(
        "mean",
        "what a reward is compared with: the mean of all samples (or of the group), or of all the others",
        choices=("mean", "leave-one-out"),
    )
    advantage_clip: float = _setting(5.0, "largest absolute advantage", 0, open_low=True)
    clip_range: float = _setting(
        1e-4, "of the importance ratio (ddpo-is); small because log-probabilities are means over pixels", 0,
        open_low=True,
    )  # fmt: skip
    temperature: float = _setting(0.5, "of the weights exp(advantage / temperature) (rwr)", 0, open_low=True)
    inner_epochs: int = _setting(1, "passes over the samples of an epoch", 1, 100)
    kl_weight: float = _setting(0.0, "of the KL divergence to the base model", 0)
    diversity_floor: float = _setting(
        0.0,
        "share of the base's diversity below which the reward counts less, half with every 0.04 that is missing, so "
        "that the KL penalty brings it back; 0: never",
        0, 1,
    )  # fmt: skip
    learning_rate: float = _setting(1e-4, "AdamW's, after warm-up", 0, 1, open_low=True)
    warmup_epochs: int = _setting(1, "epochs over which the learning rate rises", 0, 100_000)
    final_learning_rate: float = _setting(1.0, "share of the learning rate that is left in the last epoch", 0, 1)
    weight_decay: float = _setting(0.0, "AdamW's", 0, 1)
    max_grad_norm: float = _setting(1.0, "norm that longer gradients are scaled down to", 0, open_low=True)
    ema_decay: float = _setting(
        0.0, "per optimizer step, of the average of the weights that is the result; 0: the last weights", 0, 1,
        open_high=True,
    )  # fmt: skip
    weights: str = _setting(
        "all",
        "which weights are trained: all, or only biases and the scales and shifts of normalisation layers (BitFit), "
        "or low-rank updates beside them (LoRA, needs peft)",
        choices=("all", "biases", "lora"),
    )
    lora_rank: int = _setting(8, "rank of the low-rank updates, with weights lora", 1, 1024)
    gradient_checkpointing: bool = _setting(False, "compute activations twice instead of keeping them, to save memory")
    seed: int = _setting(0, "of all random numbers", 0, 2**32 - 1)

    def __post_init__(self) -> None:
        for setting in settings():
            object.__setattr__(self, setting.name, setting.check(getattr(self, setting.name)))
        if self.trained_steps >= self.sampling_steps:
            raise UserError(
                f"trained_steps ({self.trained_steps}) must be below sampling_steps ({self.sampling_steps}): "
                "the last step of a trajectory is deterministic and cannot be trained on."
            )
        if self.window == "random" and self.group_size > 1:
            raise UserError("group_size above 1 needs window to be sliding or drawn, as a group shares its way there.")
        if self.window != "random" and not self.window_starts:
            latest = self.sampling_steps - 1 - self.trained_steps
            raise UserError(
                f"window_first ({self.window_first}) must be at most window_last ({self.window_last}) and at most "
                f"{latest}, where the last window of {self.trained_steps} trained steps begins."
            )
        if self.algorithm == "rwr" and (self.kl_weight > 0 or self.diversity_floor > 0 or self.window != "random"):
            raise UserError(
                "algorithm rwr has no policy steps: set kl_weight and diversity_floor to 0, window to random and "
                "group_size to 1 with it."
            )
        if self.diversity_floor > 0 and self.kl_weight == 0:
            raise UserError(
                f"diversity_floor ({self.diversity_floor:g}) needs a kl_weight above 0, as it is the KL penalty that "
                "brings variety back: set diversity_floor to 0 as well, or kl_weight above it."
            )
        if self.algorithm == "ddpo-sf" and self.inner_epochs > 1:
            raise UserError("algorithm ddpo-sf holds for fresh samples only: set inner_epochs to 1 with it.")
        if self.batch_size % self.accumulation or self.part_size % self.group_size:
            raise UserError(
                f"batch_size ({self.batch_size}) must be a multiple of accumulation ({self.accumulation}) times "
                f"group_size ({self.group_size})."
            )
        if self.baseline == "leave-one-out" and self.group_size == 1 and self.samples_per_epoch() == 1:
            raise UserError("baseline leave-one-out needs at least 2 samples an epoch: there are no others otherwise.")

    @property
    def part_size(self) -> int:
        """Pictures of a process that are in memory at once."""
        return self.batch_size // self.accumulation

    @property
    def window_starts(self) -> range:
        """Steps at which a window may begin; the last step of a trajectory is never in one."""
        return range(self.window_first, min(self.window_last, self.sampling_steps - 1 - self.trained_steps) + 1)

    def samples_per_epoch(self, processes: int = 1) -> int:
        """Pictures drawn in an epoch by all processes together."""
        return self.batches_per_epoch * self.batch_size * processes


def settings() -> tuple[Setting, ...]:
    """The fields of `TrainConfig`, in order."""
    return _SETTINGS


def _read_settings() -> Iterator[Setting]:
    kinds = {"int": int, "float": float, "bool": bool, "str": str}
    for entry in fields(TrainConfig):
        yield Setting(entry.name, kinds[str(entry.type)], entry.default, **entry.metadata)


_SETTINGS = tuple(_read_settings())

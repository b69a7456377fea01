"""How a model is finetuned: one frozen dataclass, of which the command line, the form and the run folder are made.

Neither torch nor anything else that is slow is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from ddpo.diffusion.schedulers import SCHEDULERS
from ddpo.training import consistency
from ddpo.training.setting import Setting, _setting

GRADIENT_ALGORITHMS = ("draft",)  # that follow the gradient of the reward, which not every reward has
OTHER_ALGORITHMS = ("ddpo-is", "ddpo-sf", "rwr")


@dataclass(frozen=True)
class TrainConfig:
    """How a model is finetuned.

    Raises:
        UserError: a value is of the wrong type or out of range, or two do not go together; the sentence names them.
    """

    algorithm: str = _setting(
        "ddpo-is",
        "ddpo-is: clipped importance sampling; ddpo-sf: score function; rwr: reward-weighted regression; draft: the "
        "reward's own gradient, for rewards that have one",
        choices=(*OTHER_ALGORITHMS, *GRADIENT_ALGORITHMS),
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
    timesteps: str = _setting(
        "trailing",
        "of a trajectory: trailing: from the noisiest one down (999, 899, ...); leading: down to 0 (900, 800, ...), as "
        "diffusers' DDIM has them by default",
        choices=("trailing", "leading"),
    )
    clipped_epsilon: str = _setting(
        "derived",
        "the noise of a step whose predicted picture is clipped: derived from the clipped picture, which is DDPM's "
        "posterior at eta 1; or as the network gave it, as ddpo-pytorch has it",
        choices=("derived", "network"),
    )
    eta: float = _setting(1.0, "share of DDPM's noise in the steps of the policy; 0 with draft and rwr alone", 0, 1)
    trained_steps: int = _setting(
        5, "steps of each trajectory that are trained on, fewer than sampling_steps (draft: the last ones)", 1, 1000
    )
    truncation: str = _setting(
        "fixed",
        "fixed: the gradient goes through the last trained_steps; random: through a number of them that is drawn for "
        "every part of a batch, at most trained_steps (draft; AlignProp)",
        choices=("fixed", "random"),
    )
    noisings: int = _setting(
        0, "how often a finished picture is noised and its last step taken again, for more gradients of it (draft)", 0,
        100,
    )  # fmt: skip
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
    advantages_over: str = _setting(
        "epoch",
        "samples whose mean and standard deviation make advantages of rewards: those of the epoch, or of each batch",
        choices=("epoch", "batch"),
    )
    advantage_clip: float = _setting(5.0, "largest absolute advantage", 0, open_low=True)
    clip_range: float = _setting(
        1e-4, "of the importance ratio (ddpo-is); small because log-probabilities are means over pixels", 0,
        open_low=True,
    )  # fmt: skip
    rwr_weights: str = _setting(
        "advantage",
        "of the samples: advantage: exp(advantage / temperature); reward: exp(reward / temperature), as in the paper; "
        "best: 1 for the best_share of them and 0 for the others, its sparse form (rwr)",
        choices=("advantage", "reward", "best"),
    )
    temperature: float = _setting(
        0.5, "of the weights exp(advantage or reward / temperature), 1 / beta in the paper (rwr)", 0, open_low=True
    )
    best_share: float = _setting(0.1, "of the samples that count, with rwr_weights best (rwr)", 0, 1, open_low=True)
    inner_epochs: int = _setting(1, "passes over the samples of an epoch", 1, 100)
    kl_weight: float = _setting(0.0, "of the KL divergence to the base model", 0)
    output_penalty: float = _setting(
        0.0, "of the squared change of the network's output against the base's, a mean over pixels (draft)", 0
    )
    penalty_on: str = _setting(
        "output",
        "what that penalty is of: output: what the network gives; noise: the noise that follows from it, which is the "
        "same where the network gives noise, and leaves the first steps of one that gives v almost free (draft)",
        choices=("output", "noise"),
    )
    diversity_floor: float = _setting(
        0.0,
        "share of the base's diversity below which the reward counts less, half with every 0.04 that is missing, so "
        "that the penalty brings it back; 0: never",
        0, 1,
    )  # fmt: skip
    learning_rate: float = _setting(1e-4, "AdamW's, after warm-up", 0, 1, open_low=True)
    warmup_epochs: float = _setting(1.0, "epochs over which the learning rate rises", 0, 100_000)
    warmup_from: float = _setting(0.0, "share of the learning rate that it rises from", 0, 1)
    final_learning_rate: float = _setting(1.0, "share of the learning rate that is left in the last epoch", 0, 1)
    decay: str = _setting("line", "how the learning rate falls to that", choices=("line", "cosine"))
    decay_from: str = _setting(
        "start",
        "where that begins: with the first epoch, so that it multiplies the warm-up, or where the warm-up ends",
        choices=("start", "warmup"),
    )
    rate_per: str = _setting(
        "epoch", "whether the learning rate changes with every epoch or with every update", choices=("epoch", "update")
    )
    weight_decay: float = _setting(0.0, "AdamW's", 0, 1)
    max_grad_norm: float = _setting(1.0, "norm that longer gradients are scaled down to", 0, open_low=True)
    ema_decay: float = _setting(
        0.0, "per optimizer step, of the average of the weights that is the result; 0: the last weights", 0, 1,
        open_high=True,
    )  # fmt: skip
    weights: str = _setting(
        "all",
        "which weights are trained: all, or only biases and the scales and shifts of normalisation layers (BitFit), "
        "or low-rank updates beside them (LoRA)",
        choices=("all", "biases", "lora"),
    )
    lora_rank: int = _setting(8, "rank of the low-rank updates, with weights lora", 1, 1024)
    gradient_checkpointing: bool = _setting(False, "compute activations twice instead of keeping them, to save memory")
    seed: int = _setting(0, "of all random numbers", 0, 2**32 - 1)
    eval_seeds: int = _setting(
        0, "held-out seeds, never trained on, that are drawn and scored as the run goes, beside the base's; 0: none", 0,
        4096,
    )  # fmt: skip
    eval_every: int = _setting(1, "epochs between two looks at the held-out seeds, at the least", 1, 100_000)
    eval_scheduler: str = _setting("ddim", "that the held-out seeds are drawn with", choices=tuple(SCHEDULERS))
    eval_steps: int = _setting(50, "denoising steps of the held-out seeds", 1, 1000)
    eval_share: float = _setting(
        0.1, "share of the run's work, at the most, that goes into the held-out seeds; they are drawn more rarely than "
        "eval_every where that is not enough", 0, 1, open_low=True,
    )  # fmt: skip
    keep: str = _setting(
        "last", "which weights are the result: the last, or the best on the held-out seeds", choices=("last", "best")
    )
    keep_every: int = _setting(
        0, "keep the weights of every so many epochs too, in half precision, to compare them later; more rarely where "
        "that would be over 20 epochs or 2 GB; 0: none", 0, 100_000,
    )  # fmt: skip
    stop_gain: float = _setting(
        0.0, "end the run once the held-out seeds have gained so many standard deviations of the base's rewards; 0: "
        "never", 0,
    )  # fmt: skip
    stop_diversity: float = _setting(
        0.0, "end the run once the held-out pictures have less than this share of the base's diversity, which is then "
        "no best either; 0: never", 0, 1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        for setting in settings():
            object.__setattr__(self, setting.name, setting.check(getattr(self, setting.name)))
        consistency.check(self)

    @property
    def part_size(self) -> int:
        """Pictures of a process that are in memory at once."""
        return self.batch_size // self.accumulation

    @property
    def losses_of_a_part(self) -> int:
        """Losses that an optimizer step averages for each part of a batch, one after another."""
        return 1 + self.noisings if self.algorithm == "draft" else self.trained_steps

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

"""What the held-out seeds say of a run: one typed record a look, the best of them, and when to stop.

Torch is not imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ddpo.common import typed
from ddpo.training.config import TrainConfig

FORMAT = 1


@dataclass(frozen=True)
class HeldOutEvaluation:
    """The held-out seeds as a network draws them that will be the result, beside what the base draws of them."""

    step: int  # of the run, that this was
    epoch: int  # done by then; 0 is the base
    seeds: int
    reward_mean: float
    reward_std: float
    gain: float  # mean of the differences to the base, seed by seed, in standard deviations of the base's rewards
    gain_noise: float  # standard error of that
    win_rate: float  # share of the seeds that score higher than the base's, in [0, 1]; a tie counts half
    diversity: float  # as a share of the base's on the same seeds
    seconds: float  # of training so far

    @property
    def when(self) -> str:
        """What was looked at, in words."""
        return "the base" if self.epoch == 0 else f"epoch {self.epoch}"

    def as_dict(self) -> dict[str, Any]:
        """What a file holds of it."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> HeldOutEvaluation:
        """The evaluation that a file holds.

        Raises:
            ValueError: a newer version wrote it, or an entry is not what it should be; the message names it.
        """
        form = facts.get("format")
        if not isinstance(form, int) or form > FORMAT:
            raise ValueError(f"an evaluation of format {form!r} is of a newer version of this program")
        return typed.read(cls, facts)


def best_of(curve: Sequence[HeldOutEvaluation], config: TrainConfig) -> HeldOutEvaluation | None:
    """The one with the highest mean reward whose diversity is not below `stop_diversity`; the base's is one of them."""
    allowed = [each for each in curve if each.epoch == 0 or each.diversity >= config.stop_diversity]
    return max(allowed, key=lambda each: each.reward_mean, default=None)


def reason_to_stop(curve: Sequence[HeldOutEvaluation], config: TrainConfig) -> str | None:
    """Why a run need not go on, in a sentence; None where it should."""
    if not curve or curve[-1].epoch == 0:
        return None
    last = curve[-1]
    if 0 < config.stop_gain <= last.gain:
        return (
            f"Stopped after epoch {last.epoch}: the reward of the held-out seeds has gained {last.gain:.2f} standard "
            f"deviations, and stop_gain is {config.stop_gain:g}."
        )
    if last.diversity < config.stop_diversity:
        return (
            f"Stopped after epoch {last.epoch}: the held-out pictures have {last.diversity:.0%} of the base's "
            f"diversity, and stop_diversity is {config.stop_diversity:g}."
        )
    return None


def which_is_kept(kept: HeldOutEvaluation | None, last_epoch: int) -> str | None:
    """Which weights are the result, in a sentence, where they are not the last ones.

    Args:
        kept: what was seen of them; None: they are the last.
        last_epoch: that was done.
    """
    if kept is None or kept.epoch == last_epoch:
        return None
    if kept.epoch == 0:
        return "No epoch was better than the base on the held-out seeds, so the result is the base."
    return f"The result is the model after epoch {kept.epoch}, the best on the held-out seeds."


def in_words(curve: Sequence[HeldOutEvaluation], config: TrainConfig) -> str:
    """A sentence on the newest evaluation and the best; "" where there is none."""
    if not curve:
        return ""
    last, best = curve[-1], best_of(curve, config)
    how = f"On {last.seeds} held-out seeds ({config.eval_scheduler}, {config.eval_steps} steps)"
    if last.epoch == 0:
        return f"{how} the base's reward is {last.reward_mean:.3f}."
    better = "" if best is None or best.epoch == last.epoch else f" The best was {best.when}: {best.gain:+.2f}."
    return (
        f"{how}, after epoch {last.epoch}: reward {curve[0].reward_mean:.3f} -> {last.reward_mean:.3f}, "
        f"{last.gain:+.2f} ± {last.gain_noise:.2f} standard deviations, {last.win_rate:.0%} of the seeds better, "
        f"{last.diversity:.0%} of the diversity.{better}"
    )

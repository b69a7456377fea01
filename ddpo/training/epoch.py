"""What an epoch has so far: the samples, their scores, and the figures of its optimizer steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from ddpo.diffusion.step import GaussianStep
from ddpo.training.events import EpochMetrics, UpdateMetrics
from ddpo.training.modes import Modes
from ddpo.training.objective import standard_deviation
from ddpo.training.rollout import Trajectory


@dataclass
class Part:
    """Samples of one process that are drawn and trained together."""

    trajectory: Trajectory
    first_sample: int  # number of the first of them among all samples of the run
    advantage: Tensor | None = None  # (B,) float32, from the scoring on
    regression_weights: Tensor | None = None  # (B,) float32, from the scoring on, with algorithm rwr
    references: dict[int, GaussianStep] = field(default_factory=dict)  # the base's steps, kept for the next inner epoch

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        return {
            "first_sample": self.first_sample,
            "advantage": self.advantage,
            "regression_weights": self.regression_weights,
            **vars(self.trajectory),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], device: torch.device) -> Part:
        """The part that `state_dict` was taken of. Earlier versions kept regression weights as the advantage."""
        trajectory = Trajectory.from_dict(state, device)
        advantage = state["advantage"]
        weights = state.get("regression_weights", advantage)
        return cls(trajectory, state["first_sample"], _on(device, advantage), _on(device, weights))


def _on(device: torch.device, tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


@dataclass
class FirstEpoch:
    """What the samples of a run's first epoch were like, which the base has drawn: later ones are compared with it."""

    spread: float = 0.0  # `diversity.spread`
    reward_scale: float = 1.0  # standard deviation of the rewards; 1 where they do not differ
    descriptions: Tensor | None = None  # (N, F) of the pictures, N at most `modes.MOST`

    def share(self, spread: float) -> float:
        """A spread as a share of the first epoch's."""
        return spread / self.spread if self.spread > 0 else 1.0

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        return {
            "first_spread": self.spread, "reward_scale": self.reward_scale, "first_descriptions": self.descriptions,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> FirstEpoch:
        """The one that `state_dict` was taken of; earlier versions kept the spread alone."""
        return cls(state["first_spread"], state.get("reward_scale", 1.0), state.get("first_descriptions"))


@dataclass
class EpochState:
    """What an epoch has so far, on this process but where all are named."""

    parts: list[Part] = field(default_factory=list)
    scores: Tensor | None = None  # (N,) of all processes
    diversity: float = 0.0  # `diversity.spread` of the samples of all processes
    updates: int = 0  # optimizer steps made
    seconds: float = 0.0
    figures: UpdateMetrics | None = None  # the sum over the updates
    first_ratio_deviation: float = 0.0  # largest |rho - 1| of the first update
    modes: Modes = field(default_factory=Modes)  # of the samples, against the first epoch's

    def add(self, update: UpdateMetrics) -> None:
        """Count an optimizer step in."""
        if self.figures is None:
            self.figures, self.first_ratio_deviation = update, update.ratio_deviation
        else:
            self.figures = self.figures + update
        self.updates += 1

    def metrics(
        self, step: int, epoch: int, epochs: int, diversity: float, samples: int, seconds: float
    ) -> EpochMetrics:
        """The figures of the epoch, once it is over.

        Args:
            step: of the run that ended it.
            epoch: 1 .. epochs.
            epochs: of the run.
            diversity: of its samples, as a share of the first epoch's.
            samples: of an epoch.
            seconds: of training so far.
        """
        assert self.scores is not None and self.figures is not None
        low, middle, high = torch.quantile(self.scores, torch.tensor([0.1, 0.5, 0.9])).tolist()
        return EpochMetrics(
            step=step,
            epoch=epoch,
            epochs=epochs,
            reward_mean=float(self.scores.double().mean()),
            reward_std=standard_deviation(self.scores),
            reward_quantiles=(low, middle, high),
            kl=self.figures.kl / self.updates,
            first_ratio_deviation=self.first_ratio_deviation,
            clip_fraction=self.figures.clip_fraction / self.updates,
            grad_norm=self.figures.grad_norm / self.updates,
            learning_rate=self.figures.learning_rate / self.updates,
            reward_weight=self.figures.reward_weight / self.updates,
            diversity=diversity,
            samples=epoch * samples,
            seconds=seconds,
            samples_per_second=samples / max(self.seconds, 1e-9),
            output_change=self.figures.output_change / self.updates,
            modes=self.modes.kept,
            modes_noise=self.modes.noise,
            recall=self.modes.recall,
        )

    def state_dict(self) -> dict[str, Any]:
        """All but the parts."""
        sums = None
        if self.figures is not None:
            sums = {"first_ratio_deviation": self.first_ratio_deviation, **asdict(self.figures)}
        return {
            "scores": self.scores, "diversity": self.diversity, "updates": self.updates, "seconds": self.seconds,
            "sums": sums, "modes": asdict(self.modes),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any], parts: list[Part]) -> EpochState:
        """The epoch that `state_dict` was taken of, with its parts."""
        sums = dict(state["sums"] or {})
        first = sums.pop("first_ratio_deviation", 0.0)
        return cls(
            parts, state["scores"], state["diversity"], state["updates"], state["seconds"],
            UpdateMetrics(**sums) if sums else None, first, Modes(**state.get("modes", {})),
        )  # fmt: skip

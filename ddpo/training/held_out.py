"""The held-out eye: a run is looked at as its user will draw, on seeds that it never trains on.

Training watches its own samples, which are noisier and of fewer steps than what is drawn of the result later, and which
the policy has learned from. Here the network that would be the result draws fixed seeds with the scheduler and the
steps asked for, and is compared with the base seed by seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ddpo.common.statistics import paired_statistics
from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample_pictures
from ddpo.rewards import Reward
from ddpo.training.config import TrainConfig
from ddpo.training.diversity import describe_pictures, spread
from ddpo.training.held_out_curve import HeldOutEvaluation, best_of, reason_to_stop, which_is_kept
from ddpo.training.objective import standard_deviation
from ddpo.training.processes import Processes
from ddpo.training.random_streams import held_out_seeds, random_state, restore_random_state
from ddpo.training.scoring import score_pictures
from ddpo.training.work import evaluated_epochs


class HeldOutEye:
    """Looks at a network after some epochs, and keeps the curve and the best weights; off where no seeds are asked for.

    Args:
        config: of the run.
        scheduler_config: as it came with the base, for diffusers' schedulers; may be None where the eye is off.
        reward: scores the pictures.
        compute: device and dtype.
        processes: those that train together; each draws a part of the seeds.

    Attributes:
        curve: what was seen so far.
        best_weights: those that were trained, by name, of the best in the curve; on the CPU.
    """

    def __init__(
        self, config: TrainConfig, scheduler_config: Mapping[str, Any] | None, reward: Reward, compute: Compute,
        processes: Processes,
    ) -> None:  # fmt: skip
        self.epochs = evaluated_epochs(config)
        if self.epochs and scheduler_config is None:
            raise ValueError("held-out seeds are drawn with a scheduler, so the trainer needs the scheduler_config")
        self.config, self.scheduler_config = config, dict(scheduler_config or {})
        self.reward, self.compute, self.processes = reward, compute, processes
        samples = config.epochs * config.samples_per_epoch(processes.count)
        self.seeds = held_out_seeds(config.eval_seeds, config.seed, samples)
        self.curve: list[HeldOutEvaluation] = []
        self.best_weights: dict[str, Tensor] = {}
        self._base_scores: list[float] = []
        self._base_spread = 0.0

    def is_due(self, epochs: int) -> bool:
        """Whether it is to look now that so many epochs are done."""
        return epochs in self.epochs and (not self.curve or self.curve[-1].epoch < epochs)

    @property
    def best(self) -> HeldOutEvaluation | None:
        """The best that was seen; None before the first look."""
        return best_of(self.curve, self.config)

    @property
    def kept(self) -> HeldOutEvaluation | None:
        """What was seen of the weights that are the result, where these are the best; None: they are the last."""
        return self.best if self.config.keep == "best" else None

    def notice(self, epochs: int) -> str | None:
        """Why a run that has done so many epochs ends, and which weights are kept, where there is anything to say."""
        return " ".join(filter(None, (self.reason_to_stop, which_is_kept(self.kept, epochs)))) or None

    @property
    def reason_to_stop(self) -> str | None:
        """Why the run need not go on, in a sentence."""
        return reason_to_stop(self.curve, self.config)

    def look(
        self, network: nn.Module, weights: Mapping[str, Tensor], step: int, epoch: int, seconds: float
    ) -> HeldOutEvaluation:
        """Draw and score the seeds. The global random numbers are afterwards where they were.

        Args:
            network: what would be the result now.
            weights: those of it that are trained, by name.
            step: of the run that this is.
            epoch: epochs that are done.
            seconds: of training so far.

        Raises:
            UserError: the scheduler cannot take the steps, or the reward failed.
        """
        before = random_state()
        try:
            scores, descriptions = self._draw(network)
        finally:
            restore_random_state(before)
        spread_now = spread(descriptions)
        if epoch == 0:
            self._base_scores, self._base_spread = scores.tolist(), spread_now
        found = self._compare(scores, spread_now, step, epoch, seconds)
        self.curve.append(found)
        if self.best is found:
            self.best_weights = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
        return found

    def _draw(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Scores (N,) and descriptions (N, F) of the seeds, drawn by all processes together."""
        count, ranks = len(self.seeds), self.processes.count
        own = [self.seeds[place % count] for place in range(self.processes.rank, -(-count // ranks) * ranks, ranks)]
        model = DiffusionModel("", network, self.scheduler_config)
        drawn = sample_pictures(model, own, self.config.eval_scheduler, self.config.eval_steps, self.compute)
        pictures = from_uint8(to_uint8(drawn))
        scores = score_pictures(self.reward, pictures, self.compute.device, self.processes)
        rows = (self.processes.gather_in_turn(rows, 1)[:count] for rows in (scores, describe_pictures(pictures)))
        return next(rows), next(rows)

    def _compare(self, scores: Tensor, spread_now: float, step: int, epoch: int, seconds: float) -> HeldOutEvaluation:
        base = torch.tensor(self._base_scores)
        statistics = paired_statistics(self._base_scores, scores.tolist())
        unit = standard_deviation(base) or 1.0
        differences = (scores.double() - base.double()) / unit
        return HeldOutEvaluation(
            step=step,
            epoch=epoch,
            seeds=len(scores),
            reward_mean=statistics.mean_tuned,
            reward_std=standard_deviation(scores),
            gain=float(differences.mean()),
            gain_noise=float(differences.std() / len(differences) ** 0.5),
            win_rate=statistics.win_rate,
            diversity=spread_now / self._base_spread if self._base_spread > 0 else 1.0,
            seconds=seconds,
        )

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        return {
            "curve": [each.as_dict() for each in self.curve], "best_weights": self.best_weights,
            "base_scores": self._base_scores, "base_spread": self._base_spread,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`; {} is one of a version without an eye."""
        self.curve = [HeldOutEvaluation.from_dict(each) for each in state.get("curve", [])]
        self.best_weights = {name: weight.cpu() for name, weight in state.get("best_weights", {}).items()}
        self._base_scores = list(state.get("base_scores", []))
        self._base_spread = float(state.get("base_spread", 0.0))

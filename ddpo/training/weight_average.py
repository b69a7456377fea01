"""The exponential moving average of the weights that are trained, which becomes the result of a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of some weights over the optimizer steps; with a decay of 0 there is none, and `weights` is empty.

    Args:
        trained: the weights by name, as they are before the first step.
        decay: of the average, in [0, 1).
    """

    def __init__(self, trained: Mapping[str, nn.Parameter], decay: float) -> None:
        self.trained, self.decay = trained, decay
        self.weights: dict[str, Tensor] = {}
        if decay > 0:
            self.weights = {name: weight.detach().clone() for name, weight in trained.items()}

    def update(self, updates: int) -> None:
        """Take the weights in as they are after an optimizer step, before which there were so many."""
        if self.weights:
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self.weights.values()), list(self.trained.values()), 1 - decay_after(updates, self.decay)
                )

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from an average that was kept."""
        for name, weight in self.weights.items():
            weight.copy_(weights[name])


def decay_after(updates: int, decay: float) -> float:
    """Decay of the average at one optimizer step: small at first, as torch-ema and TensorFlow have it.

    So the average of a short run is not made of the weights that it began with.

    Args:
        updates: optimizer steps made before this one.
        decay: that it comes to.
    """
    return min(decay, (1 + updates) / (10 + updates))

"""Moving averages of weights whose length grows with the training (Karras et al. 2024, arXiv 2312.02696, section 3).

A fixed decay is too short at the end of a long training or too long at its start. The power function's average always
reaches back over the same share of the training, so a run of unknown length needs no tuning, and two shares are kept
so that the better one can be chosen afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn


def exponent(relative_length: float) -> float:
    """The gamma whose average has that relative standard deviation (eq. 126): 0.10 gives 6.94, 0.05 gives 16.97.

    Args:
        relative_length: in (0, 0.28); width of the average as a share of the training so far.
    """
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        width = (middle + 1) ** 0.5 / ((middle + 2) * (middle + 3) ** 0.5)
        low, high = (middle, high) if width > relative_length else (low, middle)
    return (low + high) / 2


class PowerEma:
    """Averages of a network's weights, one a length. The network's own values are taken at the first update.

    Args:
        network: whose weights are averaged.
        lengths: relative standard deviations, for `exponent`.
    """

    def __init__(self, network: nn.Module, lengths: Sequence[float]) -> None:
        self.lengths = tuple(lengths)
        self.exponents = [exponent(length) for length in lengths]
        self.networks = [copy.deepcopy(network).requires_grad_(False) for _ in lengths]

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after `step` updates, step >= 1: beta = (1 - 1 / step)^(gamma + 1) of what was stays."""
        for gamma, average in zip(self.exponents, self.networks, strict=True):
            beta = (1 - 1 / step) ** (gamma + 1)
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - beta)

    def state_dict(self) -> dict[str, dict[str, torch.Tensor]]:
        """The averages, by length."""
        return {str(length): net.state_dict() for length, net in zip(self.lengths, self.networks, strict=True)}

    def load_state_dict(self, state: dict[str, dict[str, torch.Tensor]]) -> None:
        """Take over averages of the same lengths."""
        for length, network in zip(self.lengths, self.networks, strict=True):
            network.load_state_dict(state[str(length)])

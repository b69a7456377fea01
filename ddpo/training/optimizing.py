"""A step of the optimizer, with all processes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ddpo.errors import UserError
from ddpo.training.processes import Processes


def descend(
    optimizer: torch.optim.Optimizer, trained: Iterable[nn.Parameter], max_norm: float, processes: Processes
) -> float:
    """Follow the gradients, averaged over the processes and clipped, and drop them; their norm before that.

    Raises:
        UserError: it is not finite.
    """
    weights = [weight for weight in trained if weight.grad is not None]
    processes.average(weight.grad for weight in weights if weight.grad is not None)
    norm = float(nn.utils.clip_grad_norm_(weights, max_norm))
    if not norm < float("inf"):
        optimizer.zero_grad(set_to_none=True)
        raise UserError(
            "The gradient is no longer finite, the run has diverged; start again with a lower learning_rate."
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm

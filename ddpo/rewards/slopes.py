"""Slopes that are finite, for algorithms that follow the gradient of a score.

Without a gradient asked for, every function here is the plain one, so that a score is the same to the last bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

FAINT = 1 / 1020  # a quarter of a level of 8 bits, in [0, 1]: what is smaller is lost when a picture is saved


def is_asked_for(x: Tensor) -> bool:
    """Whether somebody wants the gradient of what is computed from a tensor."""
    return torch.is_grad_enabled() and x.requires_grad


def root(values: Tensor, faint: float) -> Tensor:
    """Square root; with a gradient, of values + faint^2, as the slope of sqrt is infinite at 0.

    Args:
        values: (...) >= 0.
        faint: a root that is nothing worth mentioning; the slope is at most 1 / (2 faint).
    """
    return (values + faint**2).sqrt() if is_asked_for(values) else values.sqrt()


def size(values: Tensor, faint: float) -> Tensor:
    """Absolute value; with a gradient, sqrt(values^2 + faint^2), which is smooth and never 0."""
    return root(values.square(), faint) if is_asked_for(values) else values.abs()

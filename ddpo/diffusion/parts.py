"""A batch in smaller parts, where the memory does not suffice for all of it at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddpo.common import memory
from ddpo.errors import UserError


def in_parts(work: Callable[[Tensor], Tensor], batch: Tensor, size: int, told: str) -> tuple[Tensor, int]:
    """Do a work to parts of a batch, halved as often as the memory asks for it.

    Args:
        work: (N, ...) -> (N, ...), which treats every row by itself.
        batch: (B, ...).
        size: rows of a part at the most, 1 or more.
        told: the sentence where the memory does not suffice for one row.

    Returns:
        The outcome (B, ...), and the size of the parts that it was done in.

    Raises:
        UserError: not even one row fits.
    """
    while True:
        try:
            return torch.cat([work(part) for part in batch.split(size)]), size
        except Exception as error:
            if not memory.is_short(error):
                raise
            if size == 1:
                raise UserError(told) from error
        size //= 2
        torch.cuda.empty_cache()

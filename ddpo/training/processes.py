"""One process or many: what the trainer needs of accelerate, and nothing else knows of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator


class Processes:
    """The processes that train together, each with a part of every batch.

    Gradients are averaged once an optimizer step rather than by a wrapper around the network: a step sums many backward
    passes, and only its end has to be agreed on.
    """

    def __init__(self, accelerator: Accelerator | None = None) -> None:
        self._accelerator = accelerator

    @property
    def count(self) -> int:
        """How many there are."""
        return self._accelerator.num_processes if self._accelerator else 1

    @property
    def rank(self) -> int:
        """Which of them this is: 0 .. count - 1."""
        return self._accelerator.process_index if self._accelerator else 0

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    @property
    def device(self) -> str | None:
        """The device of this one; None where the choice is free."""
        if self._accelerator is None or self.count == 1:
            return None
        device = self._accelerator.device
        return "cpu" if device.type == "cpu" else str(device)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (N, ...) of all processes in the order of their ranks: (count * N, ...), on the CPU."""
        if self.count == 1:
            return rows.cpu()
        assert self._accelerator is not None
        gathered: Tensor = self._accelerator.gather(rows.to(self._accelerator.device).contiguous())
        return gathered.cpu()

    def gather_in_turn(self, rows: Tensor, part: int) -> Tensor:
        """As `gather`, but so many rows of each process, then the next so many of each: the order of the samples."""
        by_rank = self.gather(rows).view(self.count, -1, part, *rows.shape[1:])
        return by_rank.transpose(0, 1).flatten(0, 2)

    def gather_objects(self, value: Any) -> list[Any]:
        """The value of every process, in the order of their ranks."""
        if self.count == 1:
            return [value]
        from accelerate.utils import gather_object

        return list(gather_object([value]))

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over all processes."""
        if self.count == 1:
            return
        assert self._accelerator is not None
        for tensor in tensors:
            tensor.copy_(self._accelerator.reduce(tensor.to(self._accelerator.device), "mean"))

    def agree(self, flag: bool) -> bool:
        """Whether the flag is set on any process, so that all of them stop at the same step."""
        if self.count == 1:
            return flag
        assert self._accelerator is not None
        return bool(self.gather(torch.tensor([float(flag)])).max() > 0)

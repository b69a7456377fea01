"""Where and in which number format the models run: decided once, here, and handed in everywhere else."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from ddpo.common.machine import has_fast_bfloat16
from ddpo.errors import UserError

PrecisionName = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Compute:
    """A device and the dtype that matrix products run in on it (weights and log-probabilities stay float32)."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the UNet is called."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def __str__(self) -> str:
        return f"{self.device.type}, {str(self.dtype).removeprefix('torch.')}"


def _is_quick_at_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and has_fast_bfloat16()


def choose_compute(precision: PrecisionName | None = None, device: str | None = None) -> Compute:
    """Pick the device and the dtype.

    Args:
        precision: "auto" takes bfloat16 autocast where the hardware has it and float32 elsewhere. None reads the
            environment variable DDPO_PRECISION and falls back to "auto".
        device: a torch device string; None takes CUDA where there is one, else the CPU.

    Raises:
        UserError: the precision is none of "auto", "float32", "bfloat16".
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    name = precision or os.environ.get("DDPO_PRECISION", "auto")
    if name == "float32":
        return Compute(chosen, torch.float32)
    if name == "bfloat16" or (name == "auto" and _is_quick_at_bfloat16(chosen)):
        return Compute(chosen, torch.bfloat16)
    if name == "auto":
        return Compute(chosen, torch.float32)
    raise UserError(f"The precision (DDPO_PRECISION) must be auto, float32 or bfloat16, and {name!r} is not.")

"""Facts about this machine: GPU, ZeroGPU, Space, bfloat16, cores and prices. Nothing that is slow is imported."""

from __future__ import annotations

import functools
import os
from pathlib import Path

# Dollars an hour as https://huggingface.co/docs/hub/spaces-gpus listed them on 22 August 2026, by the names of
# https://huggingface.co/docs/hub/spaces-config-reference; other hardware has no known price.
HOURLY_PRICES = {
    "cpu-basic": 0.0, "cpu-upgrade": 0.03, "t4-small": 0.40, "t4-medium": 0.60, "l4x1": 0.80, "l4x4": 3.80,
    "a10g-small": 1.00, "a10g-large": 1.50, "a10g-largex2": 3.00, "a10g-largex4": 5.00, "a100-large": 2.50,
    "a100x4": 10.00, "a100x8": 20.00, "l40sx1": 1.80, "l40sx4": 8.30, "l40sx8": 23.50,
}  # fmt: skip

CPU_HARDWARE = {"2": "cpu-basic", "8": "cpu-upgrade"}  # by their cores; both are told as the accelerator "none"


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that may be used, found out without torch."""
    return Path("/proc/driver/nvidia/version").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") != ""


def on_zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, which borrows a GPU for one call at a time."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def hourly_price() -> float | None:
    """Dollars an hour of the Space's hardware; None where this is no Space, on ZeroGPU, or if it is not known."""
    if on_zero_gpu() or not on_space():
        return None
    return HOURLY_PRICES.get(_space_hardware())


def _space_hardware() -> str:
    """Name of the Space's hardware, from the variables in https://huggingface.co/docs/hub/spaces-overview."""
    accelerator = os.environ.get("ACCELERATOR", "")
    return CPU_HARDWARE.get(os.environ.get("CPU_CORES", ""), "") if accelerator == "none" else accelerator


@functools.cache
def has_fast_bfloat16() -> bool:
    """Whether the processor is quick at bfloat16 (AVX512_BF16 or AMX); known on Linux only."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_tile" in flags


def cores() -> int:
    """Processor cores that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def on_space() -> bool:
    """Whether this runs on a Hugging Face Space, where strangers must not reach into folders."""
    return bool(os.environ.get("SPACE_ID"))

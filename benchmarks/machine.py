"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path


def describe_machine() -> dict[str, str | int]:
    """Processor, cores and the versions that matter; the GPU's name where there is one."""
    import torch

    facts: dict[str, str | int] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "diffusers", "gradio") if find_spec(name)},
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _processor() -> str:
    """As Linux names it, with what matters for convolutions; elsewhere what Python knows."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in information.read_text().splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in fields.items()}
    kinds = [kind for kind in ("amx_tile", "avx512_bf16", "avx512f", "avx2") if kind in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} (family {facts.get('cpu family')}, {', '.join(kinds[:2])})"

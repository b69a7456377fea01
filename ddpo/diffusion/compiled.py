"""A network compiled ahead of time (torch.export, then AOTInductor), which ZeroGPU allows, unlike torch.compile.

Off unless DDPO_AOT is 1. The compiled network draws; training goes on with the plain one. A package is made once for an
architecture, without weights, and kept on the disk, so the base and its finetuned version share it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import Tensor, nn

from ddpo.common.machine import on_zero_gpu
from ddpo.diffusion.precision import Compute

logger = logging.getLogger("ddpo.diffusion.compiled")

MOST_PICTURES = 32  # of a batch; a larger one, and one alone, go through the plain network
INDUCTOR = {"aot_inductor.package_constants_in_so": False, "always_keep_tensor_constants": True}


def is_wanted() -> bool:
    """Whether DDPO_AOT asks for it."""
    return os.environ.get("DDPO_AOT", "").strip().lower() in ("1", "true", "on")


def compile_if_wanted(unet: UNet2DModel, compute: Compute) -> UNet2DModel:
    """Have a network draw with its compiled version, where DDPO_AOT asks for it.

    A network that cannot be compiled stays as it is, and the log says why.

    Args:
        unet: in eval mode, on its device; it is changed in place.
        compute: the device and the dtype that it is to be compiled for.
    """
    if not is_wanted():
        return unet
    if on_zero_gpu():
        logger.warning("DDPO_AOT is left out on ZeroGPU: there it would have to be compiled on a lent GPU.")
        return unet
    if torch.cuda.is_available():  # taking a package's weights over crashed the process: torch 2.11, CUDA 13.0, an H200
        logger.warning("DDPO_AOT is left out on a machine with a GPU: a compiled network has crashed there.")
        return unet
    try:
        use_package(unet, find_or_make_package(unet, compute))
    except Exception as error:  # whatever the exporter, the compiler and the C++ compiler below it meet
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        logger.warning("DDPO_AOT: not compiled, the plain network draws as well (%s)", reason)
    return unet


def use_package(unet: UNet2DModel, package: Path) -> None:
    """Have a network draw with a package of its architecture, and its own weights."""
    from torch._inductor import aoti_load_package

    compiled = aoti_load_package(str(package))
    weights = {f"unet.{name}": tensor for name, tensor in [*unet.named_parameters(), *unet.named_buffers()]}
    known = set(compiled.get_constant_fqns())
    compiled.load_constants(
        {name: tensor for name, tensor in weights.items() if name in known}, check_full_update=True, user_managed=True
    )
    unet.forward = _Forward(compiled, unet.forward)


def has_package(unet: UNet2DModel, compute: Compute) -> bool:
    """Whether a network's architecture was compiled for this device and dtype before."""
    return _package(unet, compute).is_file()


def find_or_make_package(unet: UNet2DModel, compute: Compute) -> Path:
    """The package of a network's architecture for a device and dtype, compiled on first use, which takes minutes."""
    package = _package(unet, compute)
    if not package.is_file():
        started = time.monotonic()
        package.parent.mkdir(parents=True, exist_ok=True)
        part = package.with_suffix(f".{os.getpid()}.pt2")
        make_package(unet, compute, part)
        part.replace(package)
        logger.info("DDPO_AOT: compiled in %.0f s", time.monotonic() - started)
    return package


def make_package(unet: UNet2DModel, compute: Compute, package: Path) -> None:
    """Compile a network for batches of 2 to MOST_PICTURES pictures, without its weights."""
    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    x_t = torch.randn(4, unet.config.in_channels, height, width, device=compute.device)
    batch = torch.export.Dim("batch", min=2, max=MOST_PICTURES)
    with torch.no_grad():
        program = torch.export.export(
            _Plain(unet, compute), (x_t, torch.zeros(4, device=compute.device)), dynamic_shapes=({0: batch}, {0: batch})
        )
        torch._inductor.aoti_compile_and_package(program, package_path=str(package), inductor_configs=INDUCTOR)


class _Plain(nn.Module):
    """A network as it is compiled: from tensors to a tensor, in the dtype of its compute."""

    def __init__(self, unet: UNet2DModel, compute: Compute) -> None:
        super().__init__()
        self.unet, self._compute = unet, compute

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        with self._compute.autocast():
            return self.unet(x_t, t, return_dict=False)[0]


class _Forward:
    """In place of a network's `forward`: its compiled version where that can be used."""

    def __init__(self, compiled: Callable[[Tensor, Tensor], Tensor], plain: Callable[..., Any]) -> None:
        self.compiled, self.plain = compiled, plain

    def __call__(self, x_t: Tensor, t: Tensor, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs or torch.is_grad_enabled() or not 2 <= len(x_t) <= MOST_PICTURES:
            return self.plain(x_t, t, *args, **kwargs)
        times = t.to(x_t.device, torch.float32).expand(len(x_t)).contiguous()
        return UNet2DOutput(sample=self.compiled(x_t.contiguous(), times))


def _package(unet: UNet2DModel, compute: Compute) -> Path:
    return _folder() / f"{_key(unet, compute)}.pt2"


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ddpo-studio" / "aot"


def _key(unet: UNet2DModel, compute: Compute) -> str:
    """What a compiled network depends on, but not its weights."""
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    device = torch.cuda.get_device_name() if compute.device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    layout = [tensor.stride() for tensor in unet.parameters()]
    facts = [config, str(compute), device, torch.__version__, MOST_PICTURES, str(layout)]
    return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()[:16]

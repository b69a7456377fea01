"""How much memory a network takes, found out without allocating any: it is built and run once on torch's meta device.

Tensors there have shapes and no contents, so a pass takes a fifth of a second, whatever the network's size. What is not
a network that denoises pictures comes to light by the same pass.
"""

from __future__ import annotations

import functools
import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ddpo.common import memory
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError

_BATCH = 2
FEWEST = 3  # pictures that a network is given at once on a CPU, see `sampling.sample`


@dataclass(frozen=True)
class Footprint:
    """What a network needs, in bytes of float32."""

    weights: int
    sampling: int  # the most of activations that is alive at once while a picture is denoised
    training: int  # what a picture keeps for the gradients

    @property
    def largest_file(self) -> int:
        """The most bytes that a file of its weights may have: float64, and some room for what describes them."""
        return 2 * self.weights + (16 << 20)


def check_network(config: Mapping[str, Any], source: str) -> Footprint:
    """The footprint of a configuration whose numbers are in bounds (see `bounds`), after it has been tried.

    Raises:
        UserError: diffusers cannot build it, or it does not turn pictures into pictures of the same size.
    """
    try:
        return _measured(json.dumps(_plain(config), sort_keys=True))
    except Exception as error:  # whatever diffusers and torch meet in such a network
        raise UserError(
            f"config.json in {source!r} does not describe a network that denoises pictures; the model is damaged, or "
            "of another kind."
        ) from error


def check_weights(footprint: Footprint, compute: Compute, source: str) -> None:
    """Refuse a model whose weights do not fit the memory that is there. A GPU's has its own errors.

    Raises:
        UserError: they do not; the sentence says how much is needed.
    """
    if compute.device.type == "cpu":
        memory.check_room(footprint.weights, f"The model {source!r}", "use a smaller model")


def most_at_once(unet: UNet2DModel, pictures: int, compute: Compute) -> int:
    """How many of these pictures a network can denoise at once in the memory beside the weights, on a CPU.

    A GPU's memory has its own errors, so all of them are tried there.

    Raises:
        UserError: not even one fits; the sentence says how much is needed.
    """
    if compute.device.type != "cpu":
        return pictures
    each = check_network(unet.config, "the model").sampling * compute.dtype.itemsize / 4
    most = memory.most_that_fit(each, pictures)
    if most < min(pictures, FEWEST):
        memory.check_room(FEWEST * each, "Drawing a picture", "close other programs, or use a smaller model")
    return max(most, 1)


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_")}


@functools.lru_cache(maxsize=64)
def _measured(config: str) -> Footprint:
    facts = json.loads(config)
    with torch.device("meta"):
        unet = UNet2DModel.from_config(facts)
    size = facts["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    weights = sum(weight.numel() for weight in (*unet.parameters(), *unet.buffers()))
    sampling, training = (_activations(unet, (height, width), gradients) for gradients in (False, True))
    return Footprint(4 * weights, sampling, training)


def _activations(unet: UNet2DModel, size: tuple[int, int], gradients: bool) -> int:
    """Bytes of a picture at the moment when most are alive."""
    x_t = torch.empty(_BATCH, 3, *size, device="meta")
    t = torch.zeros(_BATCH, dtype=torch.int64, device="meta")
    with torch.set_grad_enabled(gradients), _Alive() as alive:
        output = unet(x_t, t).sample
    if output.shape != x_t.shape:
        raise ValueError(f"pictures of {tuple(x_t.shape)} become {tuple(output.shape)}")
    return alive.most // _BATCH


class _Alive(TorchDispatchMode):
    """Adds up the bytes of all tensors that operations have made and nothing has dropped yet."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, key, storage.nbytes())

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

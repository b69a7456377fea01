"""The weights of a network that finetuning changes: all, biases only, or low-rank updates beside them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ddpo.errors import UserError
from ddpo.training.config import TrainConfig


def prepare(unet: nn.Module, config: TrainConfig) -> nn.Module:
    """The network with the weights trainable that the config names, in eval mode; changed in place.

    Raises:
        UserError: the network or this machine lacks what the config asks for.
    """
    unet.eval().requires_grad_(True)
    if config.weights == "lora":
        add_adapters(unet, config.lora_rank, config.seed)
    elif config.weights == "biases":
        train_biases_only(unet)
    if config.gradient_checkpointing and not (config.algorithm == "draft" and config.trained_steps > 1):
        # There whole steps are computed again (`draft.take_steps`), which needs less memory than layers of all of them.
        use_gradient_checkpointing(unet)
    return unet


class Adapted(nn.Module):
    """A convolution or a linear layer with a matrix of low rank added to its weight (LoRA, Hu et al. 2022, equation 3).

    It is added before the layer is computed, which takes less time than a second, narrow layer beside it.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer
        outputs, inputs = layer.weight.flatten(1).shape
        self.down = nn.Parameter(torch.empty(rank, inputs, device=layer.weight.device))
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=layer.weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))  # as PyTorch does for a linear layer

    @property
    def weight(self) -> Tensor:
        """With the update: of the layer's shape, float32."""
        with torch.autocast(self.down.device.type, enabled=False):
            return self.layer.weight + (self.up @ self.down).view_as(self.layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """As the layer, with that weight."""
        output: Tensor = functional_call(self.layer, {"weight": self.weight}, (x,))
        return output


def add_adapters(unet: nn.Module, rank: int, seed: int) -> None:
    """Freeze the weights and put a low-rank update beside that of every convolution and linear layer.

    The update starts at zero, so the network stays what it was.

    Args:
        unet: changed in place.
        rank: of the updates, >= 1.
        seed: of their random first factor.

    Raises:
        UserError: there is no layer to adapt.
    """
    layers = [(name, layer) for name, layer in unet.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    if not layers:
        raise UserError("LoRA finds no convolution and no linear layer in this network; set weights to all.")
    unet.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, layer in layers:
            unet.set_submodule(name, Adapted(layer, rank))
    unet.eval()


def train_biases_only(unet: nn.Module) -> None:
    """Freeze all but the biases and the weights of one dimension, which are those of normalisation layers.

    Ben Zaken et al. 2022 ("BitFit"): a network can be steered by them. They are so few that the noise of a policy
    gradient, which moves every weight, moves the network much less.
    """
    for name, weight in unet.named_parameters():
        weight.requires_grad_(weight.dim() == 1 or name.endswith("bias"))


def merge_adapters(unet: nn.Module) -> nn.Module:
    """Add the updates to the weights they stand beside and remove them; a network without adapters stays as it is."""
    for name, adapted in list(unet.named_modules()):
        if isinstance(adapted, Adapted):
            adapted.layer.weight.data = adapted.weight.detach()
            unet.set_submodule(name, adapted.layer)
    return unet


def use_gradient_checkpointing(unet: nn.Module) -> None:
    """Have activations computed again in the backward pass instead of kept.

    Raises:
        UserError: the network cannot.
    """
    enable = getattr(unet, "enable_gradient_checkpointing", None)
    if enable is None or not getattr(unet, "_supports_gradient_checkpointing", True):
        raise UserError("This network does not support gradient_checkpointing; turn it off.")
    enable()

"""The weights of a network that finetuning changes: all, biases only, or low-rank adapters (through peft)."""

from __future__ import annotations

import torch
from torch import nn

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


def add_adapters(unet: nn.Module, rank: int, seed: int) -> None:
    """Freeze the weights and put a low-rank update (LoRA, Hu et al. 2022) beside every convolution and linear layer.

    The update starts at zero, so the network stays what it was.

    Args:
        unet: changed in place.
        rank: of the updates, >= 1.
        seed: of their random first factor.

    Raises:
        UserError: peft is not installed, or it finds no layer to adapt.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError("Training with weights lora needs peft: install it with `pip install peft`.") from error
    layers = [name for name, layer in unet.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    if not layers:
        raise UserError("LoRA finds no convolution and no linear layer in this network; set weights to all.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers), unet)
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
    if not any(hasattr(layer, "lora_A") for layer in unet.modules()):
        return unet
    from peft.tuners.lora import LoraLayer

    for name, layer in list(unet.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(unet.get_submodule(parent), child, layer.get_base_layer())
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

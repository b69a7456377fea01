"""A reward of the user's own: `module:function`, a function of pictures that returns their scores."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ddpo.diffusion.pictures import check_images
from ddpo.errors import UserError
from ddpo.rewards import Reward, RewardSpec
from ddpo.rewards.slopes import is_asked_for

if TYPE_CHECKING:
    from ddpo.diffusion.precision import Compute


def own_spec(name: str) -> RewardSpec:
    """The entry of a user's function.

    Args:
        name: "module:function"; the module is looked for as Python does, and in the current folder. The function
            takes (B, 3, H, W) float32 in [-1, 1] and returns B numbers: a tensor, an array or a list.
            With an attribute `differentiable` that is true, algorithms may follow the gradient of its tensor.

    Raises:
        UserError: it cannot be imported or is no function.
    """
    function = _import(name)

    def load(compute: Compute) -> Reward:
        return lambda images: _call(name, function, images)

    doc = (function.__doc__ or "").strip().splitlines()
    return RewardSpec(
        name=name,
        title=name,
        description=doc[0] if doc else "A function of your own.",
        source="",
        value_range=(-math.inf, math.inf),
        unit="",
        decimals=3,
        load=load,
        differentiable=bool(getattr(function, "differentiable", False)),
    )


def _import(name: str) -> Callable[[Tensor], Any]:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise UserError(f"A reward of your own is written module:function, and {name!r} lacks one of the two.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that a file here cannot stand in for an installed package
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's: anything can go wrong while it is imported
        raise UserError(f"The module of the reward {name!r} cannot be imported: {_told(error)}.") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UserError(f"The module {module_name!r} has no function named {function_name!r} to use as a reward.")
    return function


def _call(name: str, function: Callable[[Tensor], Any], images: Tensor) -> Tensor:
    """What the function returns, as a tensor; that it is a finite score for each picture is the trainer's to check."""
    check_images(images)
    try:
        scores = torch.as_tensor(function(images), dtype=torch.float32, device=images.device)
        return scores if is_asked_for(images) else scores.detach()
    except Exception as error:
        raise UserError(f"The reward {name!r} failed on {len(images)} pictures: {_told(error)}.") from error


def _told(error: Exception) -> str:
    """An exception in one line without a full stop."""
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__

"""What a run is told to do: one specification, made from names and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ddpo import rewards
from ddpo.diffusion.catalogue import DEFAULT_PAIR
from ddpo.diffusion.network import read_network
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs.folder import RunSpec
from ddpo.runs.pairs import get_pair
from ddpo.training.config import GRADIENT_ALGORITHMS, OTHER_ALGORITHMS
from ddpo.training.recipes import make_config

DEFAULT_REWARD = "photographic"  # of a base that belongs to no pair


def make_spec(
    pair: str | None,
    base: str | None,
    reward: str | None,
    recipe: str,
    values: Mapping[str, Any],
    own_functions: bool = True,
) -> RunSpec:
    """What to train on what. Of the base only the name is looked at, and kept as it was given (see `found_anywhere`).

    Args:
        pair: name of the pair whose base is finetuned; None is the bundled one, unless `base` is given.
        base: folder or Hub id of another base.
        reward: name of a reward; None is the pair's.
        recipe: name of a recipe.
        values: settings that replace the recipe's.
        own_functions: whether the reward may be "module:function", whose code is run.

    Raises:
        UserError: a name or a value is not acceptable, or both a pair and a base are given.
    """
    if pair is not None and base is not None:
        raise UserError("Give either a pair, whose base is finetuned, or a base of your own, not both.")
    config = make_config(values, recipe)
    chosen = get_pair(pair or DEFAULT_PAIR) if base is None else None
    source = base if chosen is None else chosen.base
    assert source is not None
    reward = reward or (chosen.reward if chosen else DEFAULT_REWARD)
    known = rewards.get(reward, own_functions)
    if config.algorithm in GRADIENT_ALGORITHMS:
        rewards.check_gradient(known, config.algorithm, OTHER_ALGORITHMS)
    return RunSpec(chosen.name if chosen else None, source, reward, recipe, config)


def found_anywhere(spec: RunSpec) -> RunSpec:
    """The same, with a base that is found from any working folder.

    Raises:
        UserError: the base is neither a folder with a UNet2DModel nor an id.
    """
    read_network(spec.base)
    return replace(spec, base=ids.absolute(spec.base))

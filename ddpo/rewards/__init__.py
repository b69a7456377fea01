"""Scores of pictures, by name. Every one of them can be shown beside a picture and can be finetuned on.

Importing this package is quick: a reward's own file, and torch, are imported when it is loaded.
To add a reward, write one file with `load(compute) -> Reward` and add one entry to `REWARDS`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ddpo.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from ddpo.precision import Compute


class Reward(Protocol):
    """A scorer: deterministic, and the score of a picture does not depend on the others in its batch."""

    def __call__(self, images: Tensor, /) -> Tensor:
        """Score pictures: (B, 3, H, W) float32 in [-1, 1] -> (B,) float32. Raises UserError for anything else."""
        ...


@dataclass(frozen=True)
class RewardSpec:
    """What is known about a reward before it is loaded."""

    name: str  # as given on the command line and to the endpoints
    title: str  # as shown on the page
    description: str  # one or two plain sentences
    source: str  # whom to cite
    value_range: tuple[float, float]  # lowest and highest possible score
    unit: str  # "" or for instance "kB"
    decimals: int  # digits to show
    load: Callable[[Compute], Reward]  # builds the scorer


def _from(module: str, function: str = "load") -> Callable[[Compute], Reward]:
    """A loader that imports its module only when it is called."""

    def load(compute: Compute) -> Reward:
        reward: Reward = getattr(importlib.import_module(module), function)(compute)
        return reward

    return load


_DDPO = "Black et al. 2023, arXiv 2305.13301"

REWARDS: dict[str, RewardSpec] = {
    spec.name: spec
    for spec in (
        RewardSpec(
            name="photographic",
            title="Photographic quality",
            description="How much a picture looks like a clear, natural, well exposed photograph, from 1 to 10. "
            "Made of published measures of colour, contrast, tone, sharpness, noise and composition; no download.",
            source="Hasler and Suesstrunk 2003; Peli 1990; Pech-Pacheco et al. 2000; Immerkaer 1996; "
            "Datta et al. 2006; Ke et al. 2006",
            value_range=(1.0, 10.0),
            unit="",
            decimals=2,
            load=_from("ddpo.rewards.photographic"),
        ),
        RewardSpec(
            name="colourfulness",
            title="Colourfulness",
            description="How colourful a picture is: 0 is grey, 33 moderately, 59 quite and 109 extremely colourful. "
            "It has no natural limit, so finetuning on it ends in garish pictures.",
            source="Hasler and Suesstrunk 2003",
            value_range=(0.0, 260.0),
            unit="",
            decimals=1,
            load=_from("ddpo.rewards.colour"),
        ),
        RewardSpec(
            name="jpeg-compressibility",
            title="JPEG compressibility",
            description="Minus the size of the picture as a JPEG of quality 95: plain pictures score higher.",
            source=_DDPO,
            value_range=(-math.inf, 0.0),
            unit="kB",
            decimals=2,
            load=_from("ddpo.rewards.jpeg", "load_compressibility"),
        ),
        RewardSpec(
            name="jpeg-incompressibility",
            title="JPEG incompressibility",
            description="The size of the picture as a JPEG of quality 95: busy pictures score higher.",
            source=_DDPO,
            value_range=(0.0, math.inf),
            unit="kB",
            decimals=2,
            load=_from("ddpo.rewards.jpeg", "load_incompressibility"),
        ),
    )
}


def names() -> tuple[str, ...]:
    """The rewards on offer, in the order in which they are shown."""
    return tuple(REWARDS)


def get(name: str, own_functions: bool = False) -> RewardSpec:
    """Look a reward up.

    Args:
        name: one of `names()`, or "module:function".
        own_functions: whether "module:function" is accepted. It runs whatever code it names, so only a command line
            may say True, never a page or an endpoint that strangers can reach.

    Raises:
        UserError: there is no such reward, or the function cannot be imported.
    """
    if name in REWARDS:
        return REWARDS[name]
    choices = ", ".join(REWARDS)
    if ":" not in name:
        raise UserError(f"There is no reward named {name!r}; choose one of {choices}.")
    if not own_functions:
        raise UserError(
            f"A function of your own ({name!r}) can score only from the command line; choose one of {choices}."
        )
    from ddpo.rewards.own import own_spec

    return own_spec(name)


def load(name: str, compute: Compute, own_functions: bool = False) -> Reward:
    """Build the scorer of a name; arguments and errors as in `get`."""
    return get(name, own_functions).load(compute)

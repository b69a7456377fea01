"""Scores of pictures, by name. Every one of them can be shown beside a picture and can be finetuned on.

Importing this package is quick: a reward's own file, and torch, are imported when it is loaded.
To add a reward, write one file with `load(compute) -> Reward` and add one entry to `REWARDS`.
It imports `common`, `hub` and of `diffusion` the pictures and the precision.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ddpo.common.words import shown
from ddpo.errors import UserError
from ddpo.rewards import weights
from ddpo.rewards.spec import Reward as Reward
from ddpo.rewards.spec import RewardSpec as RewardSpec

if TYPE_CHECKING:
    from ddpo.diffusion.precision import Compute


def _from(module: str, function: str = "load") -> Callable[[Compute], Reward]:
    """A loader that imports its module only when it is called."""

    def load(compute: Compute) -> Reward:
        reward: Reward = getattr(importlib.import_module(module), function)(compute)
        return reward

    return load


_DDPO = "Black et al. 2023, arXiv 2305.13301"
_CLIP = "Radford et al. 2021, arXiv 2103.00020"
_AGE = "nateraw/vit-age-classifier; alcazar90/ddpo-celebahq"
_AGE_FILES = (weights.AGE_CONFIG, weights.AGE_PICTURES, weights.AGE_MODEL)
_NO_LIMITS = (-math.inf, math.inf)

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
            differentiable=True,
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
            differentiable=True,
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
        RewardSpec(
            name="laion-v2",
            title="LAION aesthetic v2",
            description="LAION's predictor of the rating, from 1 to 10, that people would give a picture: "
            "the aesthetic reward of the DDPO paper. Photographs mostly get 4 to 7.",
            source=f"christophschuhmann/improved-aesthetic-predictor; {_CLIP}; {_DDPO}",
            value_range=_NO_LIMITS,
            unit="",
            decimals=2,
            differentiable=True,
            load=_from("ddpo.rewards.laion", "load_v2"),
            files=(weights.CLIP_L_14, weights.LAION_V2),
            packages=("open_clip",),
        ),
        RewardSpec(
            name="laion-v1",
            title="LAION aesthetic v1 (L/14)",
            description="LAION's first predictor of people's ratings, one linear layer on CLIP ViT-L/14. "
            "It spreads pictures further than v2, below 0 and above 10.",
            source=f"LAION-AI/aesthetic-predictor; {_CLIP}",
            value_range=_NO_LIMITS,
            unit="",
            decimals=2,
            differentiable=True,
            load=_from("ddpo.rewards.laion", "load_v1"),
            files=(weights.CLIP_L_14, weights.LAION_V1_L_14),
            packages=("open_clip",),
        ),
        RewardSpec(
            name="laion-v1-b32",
            title="LAION aesthetic v1 (B/32)",
            description="LAION's first predictor on the much smaller CLIP ViT-B/32: "
            "a third of the download and many times quicker than on L/14.",
            source=f"LAION-AI/aesthetic-predictor; {_CLIP}",
            value_range=_NO_LIMITS,
            unit="",
            decimals=2,
            differentiable=True,
            load=_from("ddpo.rewards.laion", "load_v1_b_32"),
            files=(weights.CLIP_B_32, weights.LAION_V1_B_32),
            packages=("open_clip",),
        ),
        RewardSpec(
            name="prompt",
            title="Likeness to a sentence",
            description="How well a picture fits a sentence, or one sentence rather than another: the cosine "
            "similarity of their CLIP embeddings.",
            source=_CLIP,
            value_range=(-1.0, 1.0),
            unit="",
            decimals=3,
            differentiable=True,
            load=_from("ddpo.rewards.prompt", "load_without_sentence"),
            files=(weights.CLIP_L_14,),
            packages=("open_clip",),
            argument="a sentence, or two with | between them",
        ),
        RewardSpec(
            name="over50",
            title="Looks over 50",
            description="How sure a classifier of faces is of an age over 50, as a probability.",
            source=_AGE,
            value_range=(0.0, 1.0),
            unit="",
            decimals=3,
            load=_from("ddpo.rewards.age", "load_over_50"),
            files=_AGE_FILES,
            packages=("transformers",),
        ),
        RewardSpec(
            name="under30",
            title="Looks under 30",
            description="How sure a classifier of faces is of an age under 30, as a probability.",
            source=_AGE,
            value_range=(0.0, 1.0),
            unit="",
            decimals=3,
            load=_from("ddpo.rewards.age", "load_under_30"),
            files=_AGE_FILES,
            packages=("transformers",),
        ),
    )
}


def names() -> tuple[str, ...]:
    """The rewards on offer, in the order in which they are shown; one with an `argument` is not complete without it."""
    return tuple(REWARDS)


def choices(with_words: bool = False) -> list[tuple[str, str]]:
    """Titles and names of the rewards that a list can offer here, since nothing is missing for them.

    Args:
        with_words: also those that need words of the visitor's behind their name.
    """
    able = [spec for spec in REWARDS.values() if spec.obstacle() is None]
    return [(spec.title, spec.name) for spec in able if with_words or not spec.argument]


def obstacles() -> list[str]:
    """Why the rewards that `choices` leaves out cannot be used here, a sentence each."""
    return [sentence for sentence in (spec.obstacle() for spec in REWARDS.values()) if sentence is not None]


def find(name: str) -> RewardSpec | None:
    """What is known of a reward; None for a function of somebody's own, which only the command line takes."""
    try:
        return get(name)
    except UserError:
        return None


def get(name: str, own_functions: bool = False) -> RewardSpec:
    """Look a reward up.

    Args:
        name: one of `names()`, with a colon and its argument where it takes one ("prompt:a sunny day",
            "prompt:a sunny day|a grey day"), or "module:function".
        own_functions: whether "module:function" is accepted. It runs whatever code it names, so only a command line
            may say True, never a page or an endpoint that strangers can reach.

    Raises:
        UserError: there is no such reward, its argument is missing, or the function cannot be imported.
    """
    if not isinstance(name, str):
        raise UserError(f"The scorer must be given as text, and {shown(name)} is not.")
    family, colon, _ = name.partition(":")
    if family == "prompt":
        from ddpo.rewards.prompt import prompt_spec

        return prompt_spec(name, REWARDS[family])
    if name in REWARDS:
        return REWARDS[name]
    choices = ", ".join(spec.name + (":..." if spec.argument else "") for spec in REWARDS.values())
    if family in REWARDS:
        raise UserError(f"The reward {family} takes nothing after its name; write {family} alone.")
    if not colon:
        raise UserError(f"There is no reward named {shown(name)}; choose one of {choices}.")
    if not own_functions:
        raise UserError(
            f"A function of your own ({shown(name)}) can score only from the command line; choose one of {choices}."
        )
    from ddpo.rewards.own import own_spec

    return own_spec(name)


def check_gradient(spec: RewardSpec, algorithm: str, others: Iterable[str]) -> None:
    """Refuse a reward without a gradient for an algorithm that follows it.

    Args:
        spec: of the reward.
        algorithm: that wants the gradient.
        others: algorithms that take every reward.

    Raises:
        UserError: it has none; the sentence names what goes together.
    """
    if not spec.differentiable:
        able = ", ".join(other.name for other in REWARDS.values() if other.differentiable)
        raise UserError(
            f"The reward {spec.name} has no gradient, which algorithm {algorithm} follows: choose algorithm "
            f"{', '.join(others)} for it, or a reward that has one ({able})."
        )


def load(name: str, compute: Compute, own_functions: bool = False) -> Reward:
    """Build the scorer of a name, which may download its weights.

    Args:
        name: as in `get`.
        compute: where it is to run.
        own_functions: as in `get`.

    Raises:
        UserError: as in `get`; or a package is missing, or the weights cannot be had.
    """
    return build(get(name, own_functions), compute)


def build(spec: RewardSpec, compute: Compute) -> Reward:
    """Build the scorer of a reward that has been looked up; errors as in `load`."""
    obstacle = spec.obstacle()
    if obstacle is not None:
        raise UserError(f"{obstacle.removesuffix('.')}; see to that, or choose another scorer.")
    return spec.load(compute)

"""Likeness to a sentence: steers a model that knows no text with text (CLIP, Radford et al. 2021, arXiv 2103.00020).

A reward is named `prompt:a sunny day`, or `prompt:a sunny day|a grey day` for the direction from the second sentence to
the first, in which what both have in common (a day) does not count.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ddpo.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from ddpo.diffusion.precision import Compute
    from ddpo.rewards import Reward, RewardSpec

MAX_CHARACTERS = 300  # a sentence; CLIP reads 75 tokens, about as many words
EXAMPLE = "write prompt:a sunny day, or prompt:a sunny day|a grey day"


def prompt_spec(name: str, family: RewardSpec) -> RewardSpec:
    """The entry of one or two sentences.

    Args:
        name: "prompt:sentence" or "prompt:sentence|sentence".
        family: the entry of the registry that stands for all of them.

    Raises:
        UserError: there is no sentence, more than two, twice the same, or one that is too long.
    """
    sentences = _parse(name.partition(":")[2])
    quoted = [f"“{sentence}”" for sentence in sentences]
    return replace(
        family,
        name="prompt:" + "|".join(sentences),
        title="Likeness to " + " rather than ".join(quoted),
        load=partial(load, sentences),
    )


def _parse(text: str) -> list[str]:
    sentences = [" ".join(part.split()) for part in text.split("|")]
    if not all(sentences):
        raise UserError(f"The prompt reward needs a sentence: {EXAMPLE}.")
    if len(sentences) > 2:
        raise UserError(f"The prompt reward takes one sentence or two, and {len(sentences)} were given: {EXAMPLE}.")
    if len(sentences) == 2 and sentences[0] == sentences[1]:
        raise UserError("The two sentences of the prompt reward are the same, so nothing lies between them.")
    if not all(sentence.isprintable() for sentence in sentences):
        raise UserError("A sentence of the prompt reward holds characters that are no text; write it in plain words.")
    longest = max(len(sentence) for sentence in sentences)
    if longest > MAX_CHARACTERS:
        raise UserError(f"A sentence of {longest} characters is too long; {MAX_CHARACTERS} are the most.")
    return sentences


def load_without_sentence(compute: Compute) -> Reward:
    """Refuse: the registry's entry stands for all sentences and is none. Raises UserError."""
    raise UserError(f"The prompt reward needs a sentence: {EXAMPLE}.")


def load(sentences: list[str], compute: Compute) -> Reward:
    """The scorer: cosine of the angle between a picture's embedding and the sentence's, or the difference of two.

    Raises:
        UserError: CLIP's weights cannot be had, or it cannot read the sentences.
    """
    from ddpo.rewards.clip import VIT_L_14, load_clip

    clip = load_clip(VIT_L_14, compute)
    embeddings = clip.embed_text(sentences)
    direction = embeddings[0] if len(sentences) == 1 else embeddings[0] - embeddings[1]  # (D,)
    length = direction.norm()
    if float(length) < 1e-4:
        raise UserError("CLIP reads the two sentences of the prompt reward as the same one; choose others.")
    unit = direction / length

    def likeness(images: Tensor) -> Tensor:
        return (clip.embed_images(images) * unit.to(images.device)).sum(-1)

    return likeness

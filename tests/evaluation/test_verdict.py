"""Planted cheats are called by their name, and the reward alone would call them better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ddpo import rewards
from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.catalogue import ASSETS
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.evaluation.measured import FEWEST
from ddpo.evaluation.measures import measure
from ddpo.evaluation.statistics import Gain, paired_gain
from ddpo.evaluation.verdict import Verdict, judge
from ddpo.rewards import Reward

COUNT = 64
SCORERS = ("photographic", "colourfulness", "jpeg-incompressibility")


@pytest.fixture(scope="module")
def drawn() -> Tensor:
    return from_uint8(draw_scenes(740_000, COUNT))


@pytest.fixture(scope="module")
def scorers(compute: Compute) -> dict[str, Reward]:
    return {name: rewards.load(name, compute) for name in SCORERS}


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def the_best(drawn: Tensor, scorers: Mapping[str, Reward], count: int, reward: str) -> Tensor:
    return drawn[scorers[reward](drawn).argsort(descending=True)[:count]]


def collapsed(drawn: Tensor, scorers: Mapping[str, Reward], reward: str) -> Tensor:
    """One picture, each time with a little of other noise."""
    return (the_best(drawn, scorers, 1, reward) + 0.01 * random(COUNT, 3, 64, 64)).clamp(-1, 1)


def four_modes(drawn: Tensor, scorers: Mapping[str, Reward], reward: str) -> Tensor:
    return the_best(drawn, scorers, 4, reward).repeat(COUNT // 4, 1, 1, 1)


def blotches(drawn: Tensor, scorers: Mapping[str, Reward], reward: str) -> Tensor:
    spots = F.interpolate(random(COUNT, 3, 4, 4), (64, 64), mode="bilinear")
    return (drawn + 0.6 * spots).clamp(-1, 1)


def contrast(drawn: Tensor, scorers: Mapping[str, Reward], reward: str) -> Tensor:
    return (1.6 * drawn).clamp(-1, 1)


def noise(drawn: Tensor, scorers: Mapping[str, Reward], reward: str) -> Tensor:
    return (drawn + 0.15 * random(COUNT, 3, 64, 64)).clamp(-1, 1)


def gains_of(before: Tensor, after: Tensor, scorers: Mapping[str, Reward]) -> dict[str, Gain]:
    return {name: paired_gain(score(before).tolist(), score(after).tolist()) for name, score in scorers.items()}


@dataclass(frozen=True)
class Judged:
    verdict: Verdict
    by_reward_alone: Verdict
    without_other_scores: Verdict  # by the reward and the pictures


def judged(before: Tensor, after: Tensor, scorers: Mapping[str, Reward], target: str) -> Judged:
    pixels = to_uint8(before), to_uint8(after)
    gains, measures = gains_of(from_uint8(pixels[0]), from_uint8(pixels[1]), scorers), measure(*pixels)
    alone = {target: gains[target]}
    return Judged(judge(gains, target, measures), judge(alone, target, None), judge(alone, target, measures))


Cheat = Callable[[Tensor, Mapping[str, Reward], str], Tensor]


@pytest.mark.parametrize(
    ("cheat", "reward", "kind", "seen_in"),
    [
        (collapsed, "colourfulness", "collapsed", "different pictures"),
        (four_modes, "photographic", "collapsed", "different pictures"),
        (blotches, "colourfulness", "hacked", "precision"),
        (contrast, "colourfulness", "hacked", "brightness, contrast and saturation"),
        (noise, "jpeg-incompressibility", "hacked", ""),
    ],
)
def test_a_cheat_that_the_reward_alone_calls_better_is_called_by_its_name(
    drawn: Tensor, scorers: dict[str, Reward], cheat: Cheat, reward: str, kind: str, seen_in: str
) -> None:
    """Also without another score, except for noise, which only that tells from detail."""
    everything = judged(drawn, cheat(drawn, scorers, reward), scorers, reward)
    found, by_pictures = everything.verdict, everything.without_other_scores
    assert everything.by_reward_alone.kind == "better"
    assert found.kind == kind, found
    assert not seen_in or (by_pictures.kind == kind and seen_in in by_pictures.sentence), by_pictures
    assert found.sentence.startswith(kind.capitalize()) and any(letter.isdigit() for letter in found.sentence)
    assert any(reward in reason for reason in found.reasons)


def test_pictures_with_noise_are_not_better(drawn: Tensor, scorers: dict[str, Reward]) -> None:
    slight = (drawn + 0.02 * random(COUNT, 3, 64, 64)).clamp(-1, 1)
    assert judged(drawn, noise(drawn, scorers, ""), scorers, "photographic").verdict.kind == "worse"
    assert judged(drawn, slight, scorers, "photographic").verdict.kind in ("no difference shown", "worse")


def test_other_pictures_of_one_kind_show_no_difference(drawn: Tensor, scorers: dict[str, Reward]) -> None:
    other = from_uint8(draw_scenes(741_000, COUNT))
    found = judged(drawn, other, scorers, "photographic").verdict
    assert found.kind == "no difference shown" and "95%" in found.sentence


def test_the_bundled_tuned_model_is_better(scorers: dict[str, Reward]) -> None:
    """By the 32 pictures of each that lie beside it."""
    before, after = (bundled(name) for name in ("base", "tuned"))
    found = judged(before, after, scorers, "photographic").verdict
    assert found.kind == "better" and found.sentence.startswith("Better: photographic +"), found


def test_too_few_pictures_are_said_to_hide_a_cheat(drawn: Tensor, scorers: dict[str, Reward]) -> None:
    few = drawn[: FEWEST - 1]
    assert measure(to_uint8(few), to_uint8(few)) is None
    gains = gains_of(few, contrast(few, scorers, ""), scorers)
    found = judge(gains, "colourfulness", None)
    assert found.kind == "better" and f"fewer than {FEWEST} seeds" in found.sentence


def test_a_small_loss_of_quality_is_a_price_and_a_large_one_a_hack() -> None:
    base = np.random.default_rng(0).normal(6, 1, COUNT)
    rising = paired_gain(list(base), list(base + 1))
    falling = {by: paired_gain(list(base), list(base - by)) for by in (0.3, 0.8)}
    kinds = {by: judge({"prompt": rising, "photographic": loss}, "prompt", None) for by, loss in falling.items()}
    assert (kinds[0.3].kind, kinds[0.8].kind) == ("better at a price", "hacked")
    assert "photographic -0.30" in kinds[0.3].sentence
    indifferent = judge({"prompt": rising, "jpeg-compressibility": falling[0.8]}, "prompt", None)
    assert indifferent.kind == "better"  # larger files are no loss of quality


def bundled(name: str) -> Tensor:
    """The pictures of a grid of church-64: 4 rows of 8, each of 64 pixels with 2 between, doubled."""
    with Image.open(ASSETS / "church-64" / f"{name}.png") as grid:
        sheet = np.asarray(grid.convert("RGB").reduce(2))
    pictures = [sheet[y : y + 64, x : x + 64] for y in range(0, 256, 66) for x in range(0, 520, 66)]
    assert len(pictures) == 32
    return from_uint8(np.stack(pictures))

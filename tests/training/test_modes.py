"""What a second moment cannot tell: repeated pictures, blotches, a tint and mirrored pictures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.pictures import from_uint8
from ddpo.training.diversity import describe_pictures, diversity_kept
from ddpo.training.modes import Modes, compare_modes, recall, vendi_score

COUNT = 64


@pytest.fixture(scope="module")
def drawn() -> Tensor:
    return from_uint8(draw_scenes(740_000, 2 * COUNT))


def compared(pictures: Tensor, drawn: Tensor) -> Modes:
    """With the first half of the drawings."""
    return compare_modes(describe_pictures(pictures), describe_pictures(drawn[:COUNT]))


def blotches(picture: Tensor) -> Tensor:
    """One picture, each time with other coarse spots of light."""
    spots = torch.randn(COUNT, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return (picture + 0.35 * torch.nn.functional.interpolate(spots, (64, 64), mode="bilinear")).clamp(-1, 1)


def test_other_pictures_of_the_same_kind_are_as_many_and_reach_most(drawn: Tensor) -> None:
    same = compared(drawn[COUNT:], drawn)
    assert abs(same.kept - 1) < 3 * same.noise < 0.4 and same.recall > 0.6


@pytest.mark.parametrize("pictures", [8, 4])
def test_a_few_pictures_that_are_repeated_are_counted(drawn: Tensor, pictures: int) -> None:
    """Of which the second moment keeps most."""
    repeated = drawn[COUNT : COUNT + pictures].repeat(COUNT // pictures, 1, 1, 1)
    found = compared(repeated, drawn)
    assert diversity_kept(repeated, drawn[:COUNT]) > 0.6
    assert found.kept + 3 * found.noise < 0.5 and found.recall < 0.1
    assert vendi_score(describe_pictures(repeated)) <= pictures + 1e-6


def test_one_picture_with_blotches_comes_near_none_of_the_others(drawn: Tensor) -> None:
    spotted = blotches(drawn[COUNT])
    assert diversity_kept(spotted, drawn[:COUNT]) > 0.3
    assert compared(spotted, drawn).recall < 0.3 < compared(drawn[COUNT:], drawn).recall - 0.3


def test_a_tint_leaves_as_many_pictures_but_they_are_others(drawn: Tensor) -> None:
    tint = torch.tensor([0.25, 0.0, -0.25]).view(3, 1, 1)
    tinted = (drawn[COUNT:] + tint).clamp(-1, 1)
    found, plain = compared(tinted, drawn), compared(drawn[COUNT:], drawn)
    assert found.kept > 0.6 and found.recall < plain.recall - 0.1


def test_mirrored_pictures_are_as_many_and_reach_as_far(drawn: Tensor) -> None:
    """A description of a mirrored picture is the mirrored description, so that distances stay what they were."""
    mirrored, plain = compared(drawn[COUNT:].flip(3), drawn), compared(drawn[COUNT:], drawn)
    assert mirrored.kept == pytest.approx(plain.kept, rel=1e-4)
    assert mirrored.recall > plain.recall - 0.15


def test_the_score_counts_what_it_is_given() -> None:
    far = 10 * torch.eye(12)
    assert vendi_score(far) == pytest.approx(12) and vendi_score(far[:1].repeat(5, 1)) == pytest.approx(1)
    assert vendi_score(torch.cat([far[:3], far[:3]])) == pytest.approx(3)
    assert recall(far, far + 0.1) == 1.0 and recall(far, far + 100) == 0.0


def test_too_few_pictures_say_nothing(drawn: Tensor) -> None:
    assert math.isnan(compared(drawn[:15], drawn).kept)

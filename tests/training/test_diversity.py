"""The measure of diversity sees a collapse, and is not fooled by contrast or saturation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpo.church64.moods import MOODS
from ddpo.church64.scenes import Scene, draw_scene, draw_scenes
from ddpo.diffusion.pictures import from_uint8
from ddpo.errors import UserError
from ddpo.training.diversity import describe_pictures, diversity, diversity_kept

FIRST = 800_000  # seeds of scenes that nothing was trained on


@pytest.fixture(scope="module")
def scenes() -> Tensor:
    return from_uint8(draw_scenes(FIRST, 160))


def grey(images: Tensor) -> Tensor:
    return images.mean(1, keepdim=True).expand(-1, 3, -1, -1)


def test_other_pictures_of_the_same_kind_are_as_diverse(scenes: Tensor) -> None:
    assert diversity_kept(scenes[:80], scenes[80:]) == pytest.approx(1, abs=0.1)


def test_it_is_the_mean_squared_distance_over_all_pairs(scenes: Tensor) -> None:
    distances = torch.pdist(describe_pictures(scenes[:20]).double()).square()
    assert diversity(scenes[:20]) == pytest.approx(float(distances.mean()))


def test_contrast_and_saturation_alone_change_little(scenes: Tensor) -> None:
    """Here the mean distance between pixels fails: it doubles with the contrast."""
    edited = {
        "twice the contrast": (2 * scenes).clamp(-1, 1),
        "half the contrast": scenes / 2,
        "twice the saturation": (grey(scenes) + 2 * (scenes - grey(scenes))).clamp(-1, 1),
        "half the saturation": grey(scenes) + 0.5 * (scenes - grey(scenes)),
    }
    for name, pictures in edited.items():
        assert diversity_kept(pictures, scenes) == pytest.approx(1, abs=0.12), name


def test_pictures_that_look_alike_have_none_left(scenes: Tensor) -> None:
    noise = torch.randn(40, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert diversity_kept(scenes[:1] + 0.1 * noise, scenes) < 0.05
    assert diversity_kept(scenes[:1].expand(8, -1, -1, -1), scenes) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("mood", MOODS)
def test_a_model_that_knows_one_light_only_loses_much(scenes: Tensor, mood: str) -> None:
    seeds = [seed for seed in range(FIRST, FIRST + 700) if Scene(seed).name == mood][:40]
    alike = from_uint8(np.stack([draw_scene(seed) for seed in seeds]))
    assert diversity_kept(alike, scenes) < 0.85


def test_every_size_from_16_pixels_will_do() -> None:
    for shape in ((2, 3, 16, 16), (2, 3, 65, 37)):
        images = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
        assert 0 < diversity(images) < 4
    with pytest.raises(UserError, match="too small"):
        diversity(torch.zeros(2, 3, 8, 8))


def test_plain_pictures_give_no_nan() -> None:
    assert diversity(torch.zeros(4, 3, 32, 32)) == 0
    assert diversity(torch.zeros(1, 3, 32, 32)) == 0
    assert diversity_kept(torch.zeros(4, 3, 32, 32), torch.zeros(4, 3, 32, 32)) == 1

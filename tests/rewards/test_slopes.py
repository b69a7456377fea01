"""Gradients of rewards: finite everywhere, those of finite differences, and no score is changed by them."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ddpo import rewards
from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.pictures import from_uint8
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.rewards import Reward, prompt
from ddpo.rewards import clip as clip_module
from ddpo.rewards.clip import Clip
from ddpo.rewards.laion import LaionScorer, MlpHead
from tests.helpers.clips import TINY_SPEC, tiny_clip

NAMES = ("photographic", "colourfulness", "laion", "prompt")  # of LAION's two predictors, the deeper head
ALGORITHMS = ("ddpo-is", "ddpo-sf", "rwr")


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reward]:
    """The rewards that have a gradient; those on CLIP with a tiny one of random weights."""
    compute = Compute(torch.device("cpu"), torch.float32)
    clip = Clip(tiny_clip(tmp_path_factory.mktemp("architecture")), compute.device)
    clip_module.loaded[TINY_SPEC, "cpu"] = clip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clip_module, "VIT_L_14", TINY_SPEC)
        likeness = prompt.load(["a sunny day"], compute)
    del clip_module.loaded[TINY_SPEC, "cpu"]
    torch.manual_seed(1)
    plain = {name: rewards.load(name, compute) for name in NAMES[:2]}
    return {**plain, "laion": LaionScorer(clip, MlpHead()), "prompt": likeness}


def scenes() -> Tensor:
    return from_uint8(draw_scenes(720_000, 4))


def soft() -> Tensor:
    """The drawings as a network draws them: not quite flat, and nowhere clipped."""
    drawn = 0.9 * scenes()
    return drawn + 0.01 * torch.randn(drawn.shape, generator=torch.Generator().manual_seed(3))


def awkward() -> Tensor:
    """Pictures at which roots, counts or clipping have no slope, or an infinite one."""
    drawn = scenes()
    flat = torch.stack([torch.full((3, 64, 64), level) for level in (-1.0, 0.0, 1.0, 0.30196)])
    blue = torch.tensor([-1.0, -1.0, 1.0]).view(3, 1, 1).expand(3, 64, 64)
    dots = torch.full((3, 64, 64), -1.0)
    dots[:, 30, 30] = 1.0
    halves = torch.where(torch.arange(64) < 32, -1.0, 1.0).expand(3, 64, 64)
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    almost_flat = 1e-7 * noise
    return torch.cat([drawn, flat, torch.stack([blue, dots, halves]), noise, almost_flat, 1.4 * drawn[:1]])


def gradient(reward: Reward, images: Tensor) -> Tensor:
    x = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(reward(x).sum(), x)
    return slope


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_everywhere(scorers: dict[str, Reward], name: str) -> None:
    images = awkward()
    slopes = gradient(scorers[name], images)
    assert torch.isfinite(slopes).all()
    assert slopes.flatten(1).norm(dim=1).max() < 1e3 * slopes[:4].flatten(1).norm(dim=1).mean()  # none takes over
    assert (slopes[:4].flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (150, 200)])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(
    scorers: dict[str, Reward], name: str, height: int, width: int
) -> None:
    """Along the gradient itself and along a smooth change of the picture, half a level each way at the most.

    The two measures without CLIP bend more, and their scores are larger against the rounding of float32.
    """
    reward = scorers[name]
    images = torch.nn.functional.interpolate(soft(), (height, width), mode="nearest")
    slopes = gradient(reward, images)
    rng = torch.Generator().manual_seed(0)
    waves = torch.nn.functional.interpolate(torch.randn(4, 3, 5, 5, generator=rng), (height, width), mode="bilinear")
    for way in (slopes, waves):
        step = (0.0008 if name in NAMES[:2] else 0.004) * way / way.abs().amax((1, 2, 3), keepdim=True)
        higher, lower = (reward((images + sign * step).requires_grad_()).detach() for sign in (1, -1))
        expected = 2 * (slopes * step).sum((1, 2, 3))
        torch.testing.assert_close(higher - lower, expected, rtol=0.05, atol=0.02 * float(expected.abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_changes_no_score(scorers: dict[str, Reward], name: str) -> None:
    """Without one asked for to the last bit; with one hardly, of pictures that are not flat to the last bit."""
    reward, images = scorers[name], torch.cat([soft(), awkward()])
    scores = reward(images)
    assert not scores.requires_grad
    wishing = images.clone().requires_grad_()
    with torch.no_grad():
        assert torch.equal(reward(wishing), scores)
    smooth = reward(wishing)
    assert smooth.requires_grad
    span = float(scores[:4].max() - scores[:4].min())
    torch.testing.assert_close(smooth.detach()[:4], scores[:4], rtol=0, atol=0.05 * span)
    torch.testing.assert_close(smooth.detach()[4:8], scores[4:8], rtol=0, atol=0.2 * span)


def test_a_gradient_step_raises_the_score_of_the_pictures_that_are_saved(scorers: dict[str, Reward]) -> None:
    for name in NAMES:
        images = soft()
        slopes = gradient(scorers[name], images)
        higher = images + 0.004 * slopes / slopes.abs().amax((1, 2, 3), keepdim=True)
        assert (scorers[name](higher) > scorers[name](images)).all(), name


def test_the_registry_knows_which_rewards_have_a_gradient() -> None:
    have = [name for name, spec in rewards.REWARDS.items() if spec.differentiable]
    assert have == ["photographic", "colourfulness", "laion-v2", "laion-v1", "laion-v1-b32", "prompt"]
    assert rewards.get("prompt:a sunny day").differentiable
    rewards.check_gradient(rewards.get("photographic"), "draft", ALGORITHMS)
    with pytest.raises(UserError, match=r"jpeg-compressibility has no gradient.*algorithm ddpo-is, ddpo-sf, rwr for"):
        rewards.check_gradient(rewards.get("jpeg-compressibility"), "draft", ALGORITHMS)


def test_a_function_of_ones_own_may_say_that_it_has_a_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compute: Compute
) -> None:
    text = "def bright(images): return images.mean((1, 2, 3))\ndef plain(images): return images.mean((1, 2, 3))\n"
    (tmp_path / "sloped_reward_for_test.py").write_text(text + "bright.differentiable = True\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    get = partial(rewards.get, own_functions=True)
    bright, plain = get("sloped_reward_for_test:bright"), get("sloped_reward_for_test:plain")
    assert bright.differentiable and not plain.differentiable
    slopes = gradient(bright.load(compute), scenes())
    assert torch.equal(slopes, torch.full_like(slopes, 1 / (3 * 64 * 64)))
    assert not bright.load(compute)(scenes()).requires_grad

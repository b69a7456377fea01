"""The registry of rewards, the simple rewards, a user's own function, and pictures in 8 bits."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ddpo import rewards
from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import choose_compute
from ddpo.errors import UserError
from tests.helpers.here import ROOT

COMPUTE = choose_compute("float32", "cpu")
WITHOUT_WEIGHTS = [name for name, spec in rewards.REWARDS.items() if not spec.files]  # the others have their own tests


@pytest.fixture(scope="module")
def images() -> Tensor:
    return from_uint8(draw_scenes(700_000, 6))


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_every_reward_scores_each_picture_by_itself_and_within_its_range(name: str, images: Tensor) -> None:
    spec, reward = rewards.get(name), rewards.load(name, COMPUTE)
    scores = reward(images)
    assert spec.name == name and spec.title and spec.description and spec.source
    assert scores.shape == (6,) and scores.dtype == torch.float32
    assert spec.value_range[0] <= float(scores.min()) and float(scores.max()) <= spec.value_range[1]
    alone = torch.cat([reward(images[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(scores, alone, rtol=1e-5, atol=1e-5)
    assert torch.equal(reward(images), scores)


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_every_reward_refuses_what_is_no_picture(name: str) -> None:
    reward = rewards.load(name, COMPUTE)
    for wrong in (torch.zeros(3, 64, 64), torch.zeros(1, 4, 64, 64), torch.full((1, 3, 64, 64), float("nan"))):
        with pytest.raises(UserError):
            reward(wrong)


def test_an_unknown_reward_is_refused_with_the_choices() -> None:
    with pytest.raises(UserError, match="photographic, colourfulness, jpeg-compressibility"):
        rewards.get("beauty")


def test_the_registry_does_not_import_torch() -> None:
    code = (
        "import sys; import ddpo.rewards as r; r.get('photographic'); "
        "found = {name for name in sys.modules if name.startswith('ddpo.rewards.')}; "
        "assert found == {'ddpo.rewards.spec', 'ddpo.rewards.weights'}, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_colourfulness_is_hasler_and_suesstrunks_measure(images: Tensor) -> None:
    pixels = to_uint8(images).astype(np.float64)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    rg, yb = red - green, (red + green) / 2 - blue
    axes = (1, 2)
    expected = np.hypot(rg.std(axes), yb.std(axes)) + 0.3 * np.hypot(rg.mean(axes), yb.mean(axes))
    np.testing.assert_allclose(rewards.load("colourfulness", COMPUTE)(images).numpy(), expected, rtol=1e-4)


def test_jpeg_rewards_are_the_file_size_at_quality_95(images: Tensor) -> None:
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(images)[0]).save(buffer, format="JPEG", quality=95)
    expected = len(buffer.getvalue()) / 1000
    assert rewards.load("jpeg-incompressibility", COMPUTE)(images)[0].item() == pytest.approx(expected)
    assert rewards.load("jpeg-compressibility", COMPUTE)(images)[0].item() == pytest.approx(-expected)


def test_noise_compresses_worse_than_a_plain_picture() -> None:
    plain, noise = torch.zeros(1, 3, 64, 64), torch.rand(1, 3, 64, 64) * 2 - 1
    reward = rewards.load("jpeg-compressibility", COMPUTE)
    assert float(reward(noise)) < float(reward(plain)) < 0


# A user's own function ------------------------------------------------------------------------------------------------

OWN = '''
def brightness(images):
    """Mean of the pixels."""
    return images.mean((1, 2, 3))
def as_list(images): return [0.5] * len(images)
def words(images): return ["good"] * len(images)
def breaks(images): raise RuntimeError("out of luck")
constant = 3
'''


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_rewards_for_test.py").write_text(OWN)
    (tmp_path / "broken_rewards_for_test.py").write_text("import no_such_module_anywhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_rewards_for_test", raising=False)
    return "my_rewards_for_test"


def test_a_function_of_ones_own_scores_pictures(own_module: str, images: Tensor) -> None:
    spec = rewards.get(f"{own_module}:brightness", own_functions=True)
    assert spec.description == "Mean of the pixels."
    torch.testing.assert_close(spec.load(COMPUTE)(images), images.mean((1, 2, 3)))
    assert rewards.load(f"{own_module}:as_list", COMPUTE, own_functions=True)(images).tolist() == [0.5] * 6


def test_a_function_of_ones_own_runs_only_where_it_is_allowed(own_module: str) -> None:
    with pytest.raises(UserError, match="command line"):
        rewards.get(f"{own_module}:brightness")
    with pytest.raises(UserError, match="command line"):
        rewards.load("os:system", COMPUTE)
    assert own_module not in sys.modules


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("words", "failed on 6 pictures"),
        ("breaks", "RuntimeError: out of luck"),
    ],
)
def test_what_goes_wrong_in_ones_own_function_is_named(
    own_module: str, images: Tensor, function: str, message: str
) -> None:
    reward = rewards.load(f"{own_module}:{function}", COMPUTE, own_functions=True)
    with pytest.raises(UserError, match=message):
        reward(images)


@pytest.mark.parametrize(
    "name",
    [
        "my_rewards_for_test:missing",
        "my_rewards_for_test:constant",
        "broken_rewards_for_test:f",
        "no_such_module_anywhere:f",
        "my_rewards_for_test:",
        ":brightness",
    ],
)
def test_a_function_that_cannot_be_imported_is_refused_in_a_sentence(own_module: str, name: str) -> None:
    with pytest.raises(UserError, match=r"\.$"):
        rewards.get(name, own_functions=True)


# Pictures -------------------------------------------------------------------------------------------------------------


def test_all_levels_survive_the_way_to_floats_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    x = from_uint8(levels)
    assert x.dtype == torch.float32 and x.shape == (1, 3, 16, 16) and x.min() == -1 and x.max() == 1
    np.testing.assert_array_equal(to_uint8(x), levels)


def test_pictures_are_clipped_and_rounded() -> None:
    x = torch.tensor([-3.0, -1.0, 0.0, 1.0, 7.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_uint8(x)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 4), np.uint8), np.zeros((1, 4, 4, 3))]
)
def test_arrays_that_are_no_pictures_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(UserError):
        from_uint8(pixels)

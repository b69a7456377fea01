"""Ahead-of-time compilation: the same pictures, and the plain network wherever it cannot be had."""

from __future__ import annotations

import copy
import logging
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

from ddpo.diffusion import compiled
from ddpo.diffusion.models import ModelCache, load_model, save_model
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample_pictures
from tests.helpers.models import make_unet


@pytest.fixture(autouse=True)
def wanted(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_AOT", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "aot"))  # one package for all tests


def small_unet(seed: int = 0) -> UNet2DModel:
    """Few layers, as the compiler takes its time for each: one down, one up, and attention in the middle."""
    torch.manual_seed(seed)
    return UNet2DModel(
        sample_size=8,
        block_out_channels=(8,),
        layers_per_block=1,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        norm_num_groups=4,
        attention_head_dim=8,
    )


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.skipif(torch.cuda.is_available(), reason="left out beside a GPU")
def test_it_draws_the_same_pictures_with_any_weights_and_batch(tmp_path: Path, compute: Compute) -> None:
    save_model(small_unet(), dict(DDPMScheduler(prediction_type="v_prediction").config), tmp_path, torch.float32)
    slow = load_model(str(tmp_path), compute)
    fast = ModelCache().get(str(tmp_path), compute)
    assert isinstance(fast.unet.forward, compiled._Forward)
    for seeds in ([1], [1, 2, 3]):
        one, other = (sample_pictures(model, seeds, "ddim", 4, compute) for model in (slow, fast))
        assert torch.allclose(one, other, atol=1e-4)
    (package,) = compiled._folder().glob("*.pt2")
    written = package.stat().st_mtime_ns
    other_weights = small_unet(seed=7).to(memory_format=torch.channels_last).eval()
    plain = copy.deepcopy(other_weights)
    compiled.compile_if_wanted(other_weights, compute)
    assert package.stat().st_mtime_ns == written  # the architecture is known
    x_t, t = torch.randn(5, 3, 8, 8), torch.tensor(300)
    with torch.no_grad():
        assert torch.allclose(plain(x_t, t).sample, other_weights(x_t, t).sample, atol=1e-4)
    used: list[int] = []
    forward = other_weights.forward
    forward.plain = lambda *args, **kwargs: used.append(len(args[0])) or plain(*args, **kwargs)  # type: ignore[func-returns-value]
    with torch.no_grad():
        other_weights(torch.randn(1, 3, 8, 8), t)
        other_weights(x_t, t)
        other_weights(torch.randn(33, 3, 8, 8), t)
    assert used == [1, 33]
    other_weights(x_t, t)
    assert used == [1, 33, 5]  # gradients are wanted


def test_where_it_cannot_be_compiled_the_plain_network_draws_and_the_log_says_so(
    compute: Compute, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*args: object) -> None:
        raise RuntimeError("there is no C++ compiler\nand a long trace")

    monkeypatch.setattr(compiled, "find_or_make_package", fails)
    unet = make_unet()
    with caplog.at_level(logging.WARNING):
        assert compiled.compile_if_wanted(unet, compute) is unet
    assert not isinstance(unet.forward, compiled._Forward)
    (record,) = caplog.records
    assert record.getMessage() == "DDPO_AOT: not compiled, the plain network draws as well (there is no C++ compiler)"


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_it_is_off_unless_asked_for(value: str, compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_AOT", value)
    monkeypatch.setattr(compiled, "find_or_make_package", lambda *args: pytest.fail("it was compiled"))
    compiled.compile_if_wanted(make_unet(), compute)


def test_it_is_left_out_beside_a_gpu(
    compute: Compute, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(compiled, "find_or_make_package", lambda *args: pytest.fail("it was compiled"))
    with caplog.at_level(logging.WARNING):
        compiled.compile_if_wanted(make_unet(), compute)
    assert "with a GPU" in caplog.text

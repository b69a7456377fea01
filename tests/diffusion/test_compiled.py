"""Ahead-of-time compilation: the same pictures, and the plain network wherever it cannot be had."""

from __future__ import annotations

import copy
import logging
import shutil
from pathlib import Path

import pytest
import torch

from ddpo.diffusion import compiled
from ddpo.diffusion.models import DiffusionModel, ModelCache
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample_pictures
from tests.helpers.models import make_unet


@pytest.fixture(autouse=True)
def wanted(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_AOT", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "aot"))  # one package for all tests


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_it_draws_the_same_pictures_with_any_weights_and_batch(
    tiny_folder: Path, tiny_model: DiffusionModel, compute: Compute
) -> None:
    fast = ModelCache().get(str(tiny_folder), compute)
    assert isinstance(fast.unet.forward, compiled._Forward)
    for seeds in ([1], [1, 2, 3]):
        one, other = (sample_pictures(model, seeds, "ddim", 4, compute) for model in (tiny_model, fast))
        assert torch.allclose(one, other, atol=1e-4)
    (package,) = compiled._folder().glob("*.pt2")
    written = package.stat().st_mtime_ns
    other_weights = make_unet(seed=7).to(memory_format=torch.channels_last).eval()
    plain = copy.deepcopy(other_weights)
    compiled.compile_if_wanted(other_weights, compute)
    assert package.stat().st_mtime_ns == written  # the architecture is known
    x_t, t = torch.randn(5, 3, 16, 16), torch.tensor(300)
    with torch.no_grad():
        assert torch.allclose(plain(x_t, t).sample, other_weights(x_t, t).sample, atol=1e-4)
    used: list[int] = []
    forward = other_weights.forward
    forward.plain = lambda *args, **kwargs: used.append(len(args[0])) or plain(*args, **kwargs)  # type: ignore[func-returns-value]
    with torch.no_grad():
        other_weights(torch.randn(1, 3, 16, 16), t)
        other_weights(x_t, t)
        other_weights(torch.randn(33, 3, 16, 16), t)
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

"""No model folder takes the app down: whatever its configuration asks for is refused at once, in a sentence."""

from __future__ import annotations

import json
import resource
import shutil
import threading
import time
from pathlib import Path

import pytest

from ddpo.comparison import loading
from ddpo.diffusion import cancelling, footprint, models
from ddpo.diffusion.models import ModelCache, load_model
from ddpo.diffusion.network import CHURCH_64, DDPM_256, read_network
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from tests.helpers.serving import ROOT
from tests.hostile.models import MODELS

SECONDS = 5.0  # for a refusal; most take milliseconds
MEMORY = 300 << 20  # bytes that the process may grow by while it refuses


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


@pytest.mark.parametrize("name", MODELS)
def test_a_hostile_model_is_refused_at_once_and_in_little_memory(folder: Path, compute: Compute, name: str) -> None:
    hostile = MODELS[name]
    hostile.change(folder)
    begun, before = time.monotonic(), peak()
    with pytest.raises(UserError, match=hostile.words) as caught:
        load_model(str(folder), compute)
    assert time.monotonic() - begun < SECONDS and peak() - before < MEMORY
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 600 and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name, hostile in MODELS.items() if "layers" in name or "levels" in name])
def test_an_estimate_refuses_the_same_before_torch_is_there(folder: Path, name: str) -> None:
    MODELS[name].change(folder)
    with pytest.raises(UserError, match=MODELS[name].words):
        read_network(str(folder))


@pytest.mark.parametrize(("network", "source"), [(CHURCH_64, "assets/church-64/base"), (DDPM_256, None)])
def test_the_estimate_of_activations_is_near_what_a_pass_needs(network: object, source: str | None) -> None:
    if source:
        config = json.loads((ROOT / source / "unet" / "config.json").read_text())
    else:
        levels = {"down_block_types": ["DownBlock2D"] * 6, "up_block_types": ["UpBlock2D"] * 6}
        levels["down_block_types"][4], levels["up_block_types"][1] = "AttnDownBlock2D", "AttnUpBlock2D"
        config = {
            "sample_size": 256, "block_out_channels": [128, 128, 256, 256, 512, 512], "layers_per_block": 2,
            "attention_head_dim": None, "downsample_padding": 0, **levels,
        }  # fmt: skip
    measured = footprint.check_network(config, "it")
    assert 0.8 < network.training_bytes / measured.training < 1.25  # type: ignore[attr-defined]
    assert measured.sampling < measured.training


def test_a_batch_that_does_not_fit_is_told_how_much_it_needs(
    folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(str(folder), compute)
    assert footprint.most_at_once(model.unet, 16, compute) == 16
    monkeypatch.setattr("ddpo.common.memory.free_memory", lambda: 100 << 20)
    with pytest.raises(UserError, match=r"Drawing a picture needs about 0\.\d GB of memory and 0\.1 GB"):
        footprint.most_at_once(model.unet, 16, compute)
    with pytest.raises(UserError, match="use a smaller model"):
        load_model(str(folder), compute)


def test_closing_a_comparison_that_loads_ends_the_loading(
    folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two layers, so that the thread is gone soon after."""
    ended = threading.Event()
    built: list[str] = []

    def slow(source: str, *_: object) -> None:
        import torch

        try:
            for index in range(10_000):
                torch.nn.Sequential(torch.nn.Identity())
                built.append(str(index))
                time.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(models, "load_model", slow)
    events = loading._watched("a model", lambda tell: ModelCache().get(str(folder), compute, tell))
    next(events)
    next(events)  # told while it loads, so that a page can close it
    events.close()
    assert ended.wait(2) and len(built) < 500


def test_a_thread_that_nobody_gave_up_builds_to_the_end() -> None:
    import torch

    with cancelling.cancellable(threading.Event()):
        assert len(torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity())) == 2
    given_up = threading.Event()
    given_up.set()
    with cancelling.cancellable(given_up), pytest.raises(cancelling.Cancelled):
        torch.nn.Sequential(torch.nn.Identity())
    assert len(torch.nn.Sequential(torch.nn.Identity())) == 1


def test_the_cache_forgets_what_could_not_be_loaded(folder: Path, compute: Compute) -> None:
    cache = ModelCache()
    for index in range(50):
        with pytest.raises(UserError):
            cache.get(f"{folder}-{index}", compute)
    cache.get(str(folder), compute)
    assert not cache._loading and len(cache._models) == 1

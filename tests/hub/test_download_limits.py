"""What comes from the Hub may not be larger than a model's network has a use for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from tests.helpers.hub_server import HubServer, serving, use

SAFETENSORS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving() as server:
        use(server, tmp_path / "cache", monkeypatch)
        yield server


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def test_weights_larger_than_their_network_are_not_downloaded(hub: HubServer, folder: Path, compute: Compute) -> None:
    with (folder / SAFETENSORS).open("ab") as file:
        file.truncate(40 << 20)
    hub.add("someone/heavy", folder)
    with pytest.raises(UserError, match=r"The weights of 'someone/heavy' are larger than 1\d MB"):
        load_model("someone/heavy", compute)
    assert not hub.asked_for(SAFETENSORS)


def test_a_configuration_without_an_end_is_broken_off(
    hub: HubServer, folder: Path, compute: Compute, tmp_path: Path
) -> None:
    with (folder / "unet" / "config.json").open("ab") as file:
        file.truncate(64 << 20)
    hub.add("someone/wordy", folder)
    with pytest.raises(UserError, match=r"The configurations of 'someone/wordy' are larger than 8 MB|larger than 1 MB"):
        load_model("someone/wordy", compute)
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert kept < 40 << 20

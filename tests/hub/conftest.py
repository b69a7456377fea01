"""A Hub with one model, and a copy of that to be changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hub_server import HubServer, serving, use
from tests.helpers.loading import TINY


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> Iterator[HubServer]:
    """A Hub with one model, that this process talks to with an empty cache."""
    with serving() as server:
        server.add(TINY, tiny_folder)
        use(server, tmp_path / "cache", monkeypatch)
        yield server


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be changed."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))

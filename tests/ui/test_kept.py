"""The comparisons that pages remember take no more memory than is stated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from ddpo.ui.compare import kept


def result(side: int = 256, count: int = 16) -> Any:
    pictures = [Image.new("RGB", (side, side))] * count
    comparison = SimpleNamespace(base="someone/base", tuned="someone/tuned")
    return SimpleNamespace(comparison=comparison, base_images=pictures, tuned_images=pictures)


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    kept.comparisons.clear()
    yield
    kept.comparisons.clear()  # others look through what is kept, and these results have no scorers


def test_the_latest_comparisons_are_kept_within_a_bound() -> None:
    results = [result() for _ in range(20)]
    keys = [kept.comparisons.keep(entry) for entry in results]
    assert len(set(keys)) == 20 and kept.comparisons.find(keys[-1]) is results[-1]
    assert kept.comparisons.find(keys[0]) is None and kept.comparisons.taken <= kept.MOST_PIXELS


def test_what_is_looked_at_stays_and_one_is_always_kept() -> None:
    shelf = kept.comparisons
    first = shelf.keep(result())
    for _ in range(20):
        shelf.keep(result())
        assert shelf.find(first) is not None
    huge = shelf.keep(result(side=1024))
    assert shelf.find(huge) is not None and shelf.find(first) is None and shelf.taken > kept.MOST_PIXELS
    assert shelf.find(None) is None and shelf.find("another") is None


def test_the_same_settings_are_found_until_a_model_is_written_anew(tmp_path: Path) -> None:
    weights = tmp_path / "unet" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_text("1")
    one = result()
    one.comparison = SimpleNamespace(base="someone/base", tuned=str(tmp_path))
    key = kept.comparisons.keep(one)
    assert kept.find_same(one.comparison) == key
    assert kept.find_same(result().comparison) is None
    os.utime(weights, (1, 1))
    assert kept.find_same(one.comparison) is None

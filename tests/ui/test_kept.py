"""The comparisons that pages remember take no more memory than is stated."""

from __future__ import annotations

import os
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


def test_the_latest_comparisons_are_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "results", type(kept.results)())
    results = [result() for _ in range(20)]
    keys = [kept.keep(entry) for entry in results]
    assert len(set(keys)) == 20 and kept.find(keys[-1]) is results[-1] and kept.find(keys[0]) is None
    assert sum(map(kept._pixels, kept.results.values())) <= kept.MOST_PIXELS


def test_what_is_looked_at_stays_and_one_is_always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "results", type(kept.results)())
    first = kept.keep(result())
    for _ in range(20):
        kept.keep(result())
        assert kept.find(first) is not None
    huge = kept.keep(result(side=1024))
    assert kept.find(huge) is not None and len(kept.results) == 1
    assert kept.find(None) is None and kept.find("another") is None


def test_the_same_settings_are_found_until_a_model_is_written_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kept, "results", type(kept.results)())
    weights = tmp_path / "unet" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_text("1")
    one = result()
    one.comparison = SimpleNamespace(base="someone/base", tuned=str(tmp_path))
    key = kept.keep(one)
    assert kept.find_same(one.comparison) == key
    assert kept.find_same(result().comparison) is None
    os.utime(weights, (1, 1))
    assert kept.find_same(one.comparison) is None

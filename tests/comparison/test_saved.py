"""The comparison that the page opens with: what it promises, and what happens where its files are not whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ddpo.comparison import saved
from ddpo.comparison.compare import compare
from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.settings import ComparisonSettings, resolve
from ddpo.errors import UserError


def opened() -> ComparisonResult:
    result = saved.bundled()
    assert result is not None
    return result


def test_it_is_the_comparison_that_the_form_asks_for() -> None:
    comparison = opened().comparison
    assert replace(comparison, precision=None) == resolve(ComparisonSettings(pair="church-64", scorer="photographic"))
    assert len(opened().base_images) == len(opened().tuned_images) == len(opened().seeds) == comparison.samples


def test_its_pictures_and_scores_are_those_that_the_models_give() -> None:
    (drawn,) = (
        event
        for event in compare(ComparisonSettings(pair="church-64", samples=1, precision="float32"))
        if isinstance(event, ComparisonResult)
    )
    for now, then in ((drawn.base_images, opened().base_images), (drawn.tuned_images, opened().tuned_images)):
        difference = np.abs(np.asarray(now[0], np.int16) - np.asarray(then[0], np.int16))
        assert difference.mean() < 1  # of 255; float32 differs from machine to machine in the last digits
    assert drawn.base_scores[0] == pytest.approx(opened().base_scores[0], abs=0.05)
    assert drawn.tuned_scores[0] == pytest.approx(opened().tuned_scores[0], abs=0.05)


def test_what_is_saved_is_read_as_it_was(tmp_path: Path) -> None:
    saved.save(opened(), tmp_path)
    again = saved.load(tmp_path)
    assert again.to_dict() == opened().to_dict()
    assert [image.tobytes() for image in again.tuned_images] == [image.tobytes() for image in opened().tuned_images]


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in saved.BUNDLED.rglob("*") if path.is_file()) < 250_000


@pytest.mark.parametrize("damage", ["no folder", "no picture", "half a picture", "no JSON", "other JSON"])
def test_a_damaged_one_is_no_comparison(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "comparison"
    shutil.copytree(saved.BUNDLED, folder)
    picture, facts = folder / "tuned" / "seed-0000000002.png", folder / saved.RESULT
    damages: dict[str, Callable[[], object]] = {
        "no folder": lambda: shutil.rmtree(folder),
        "no picture": picture.unlink,
        "half a picture": lambda: picture.write_bytes(picture.read_bytes()[:300]),
        "no JSON": lambda: facts.write_text("{"),
        "other JSON": lambda: facts.write_text(json.dumps({"settings": {"pair": "church-64"}, "seeds": 3})),
    }
    damages[damage]()
    with pytest.raises(UserError, match="holds no comparison"):
        saved.load(folder)
    monkeypatch.setattr(saved, "BUNDLED", folder)
    saved.bundled.cache_clear()
    assert saved.bundled() is None  # and the page opens without it
    saved.bundled.cache_clear()

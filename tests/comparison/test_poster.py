"""A comparison as one picture: it holds every seed, says what it shows, and carries the settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpo.comparison import saved
from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.poster import CELL, COLUMNS, poster, write_poster
from ddpo.ui.shared.carried import carried


def of_seeds(count: int) -> ComparisonResult:
    result = saved.bundled()
    assert result is not None
    places = [place % len(result.seeds) for place in range(count)]
    return replace(
        result,
        comparison=replace(result.comparison, samples=count),
        base_images=[result.base_images[place] for place in places],
        tuned_images=[result.tuned_images[place] for place in places],
        base_scores=[result.base_scores[place] for place in places],
        tuned_scores=[result.tuned_scores[place] for place in places],
    )


@pytest.mark.parametrize("count", [1, 8, 16])
def test_it_has_room_for_every_seed(count: int) -> None:
    result = of_seeds(count)
    sheet = poster(result)
    rows = -(-count // COLUMNS)
    assert sheet.height > 2 * rows * CELL and sheet.width >= min(count, COLUMNS) * CELL
    last = result.tuned_images[-1].convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS)
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(sheet), (1, CELL, 3))[:, :, 0, 0]
    assert (windows == np.asarray(last)[0]).all(axis=(2, 3)).any()  # its first line stands somewhere


def test_it_carries_the_settings(tmp_path: Path) -> None:
    result = of_seeds(8)
    path = write_poster(result, tmp_path)
    with path.open("rb") as file:
        found = carried(file)
    assert found is not None and found["settings.pair"] == "church-64" and found["settings.samples"] == "8"

"""A grid of 1,200 cells stays small in memory, from the first cell to the page and the report."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ddpo.diffusion import sampling
from ddpo.diffusion.schedulers import get_scheduler
from ddpo.evaluation import evaluate as engine
from ddpo.evaluation.evaluate import CellDone, evaluate, pictures_in
from ddpo.evaluation.plan import Evaluation, Model, Point
from ddpo.evaluation.report import render
from ddpo.evaluation.results import Results
from ddpo.evaluation.store import CellStore
from ddpo.rewards import RewardSpec
from ddpo.ui.evaluate import pictures as page_pictures
from ddpo.ui.evaluate import views

CELLS, SEEDS, SIDE = 1200, 15, 64  # 221 MB of pictures


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    """An evaluation of so many cells, whose pictures cost no time."""

    def drawn(model: Any, seeds: list[int], *_: Any) -> Iterator[Any]:
        yield SimpleNamespace(step=1, total=1, x_t=torch.zeros(len(seeds), 3, SIDE, SIDE))

    def loaded(source: str, compute: Any) -> Generator[Any, None, Any]:
        yield from ()
        return SimpleNamespace(picture_shape=(3, SIDE, SIDE), source=source)

    monkeypatch.setattr(sampling, "sample", drawn)
    monkeypatch.setattr(engine, "load", loaded)
    monkeypatch.setattr("ddpo.evaluation.keys.fingerprint", lambda model: model.source)
    spec = RewardSpec(
        "mean", "Mean", "", "", (-1.0, 1.0), "", 2, load=lambda compute: lambda images: images.mean((1, 2, 3))
    )
    points = tuple(Point(get_scheduler("ddim"), steps, 0.0) for steps in range(1, CELLS // 2 + 1))
    asked = {"models": {}, "pair": "", "grid": ["ddim"], "eta": 0, "seeds": SEEDS, "seed": 0, "scorers": []}
    models = (Model("base", "a"), Model("tuned", "b"))
    return Evaluation(models, points, tuple(range(SEEDS)), (spec,), asked={**asked, "precision": None})


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_twelve_hundred_cells_take_less_memory_than_their_pictures(grid: Evaluation, tmp_path: Path) -> None:
    """From the first cell to the page with its plots, the pictures of a seed, and the report."""
    store, results, before, most = CellStore(tmp_path), Results(grid, []), resident(), 0
    for event in evaluate(grid, store):
        if isinstance(event, CellDone):
            results, most = event.results, max(most, resident() - before)
    assert len(results.cells) == CELLS and results.is_complete
    facts: dict[str, Any] = {"versions": {}, "seeds": list(grid.seeds), "command": "", "compute": ""}
    parts: tuple[Callable[[], str], ...] = (
        lambda: views.figures(results),
        lambda: page_pictures.by_gain(results, store, 0),
        lambda: page_pictures.one_seed(results, store, 0),
        lambda: page_pictures.neighbours(results, store),
        lambda: render(results, pictures_in(store, results), facts),
    )
    for shown in parts:
        assert len(shown()) < 20e6
        most = max(most, resident() - before)
    assert most < 120e6

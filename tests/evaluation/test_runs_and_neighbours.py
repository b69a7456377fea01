"""Reward against distance over a run's epochs, pictures most alike, and 1,200 cells in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ddpo.comparison import loading
from ddpo.diffusion import sampling
from ddpo.diffusion.schedulers import get_scheduler
from ddpo.evaluation import evaluate as engine
from ddpo.evaluation import frontier
from ddpo.evaluation.evaluate import CellDone, evaluate, pictures_in
from ddpo.evaluation.neighbours import nearest_pairs
from ddpo.evaluation.plan import Evaluation, Model, Point, make_evaluation
from ddpo.evaluation.report import render
from ddpo.evaluation.results import Results
from ddpo.evaluation.store import CellStore
from ddpo.rewards import RewardSpec
from ddpo.ui.evaluate import pictures as page_pictures
from ddpo.ui.evaluate import views
from tests.helpers.finished_run import make_run


def test_a_run_shows_its_reward_against_its_distance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
    evaluation = make_evaluation(models={"base": "a/b", "mine": f"run:{run.id}"}, seeds=2, scorers=["photographic"])
    assert [name for name, _ in frontier.runs_of(evaluation)] == ["mine"]
    shown = frontier.section(evaluation)
    assert "KL to the base" in shown and "<svg" in shown and "mine, 30" in shown
    others = make_evaluation(models={"base": "a/b", "other": "c/d"}, seeds=2, scorers=["photographic"])
    assert frontier.section(others) == ""
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "nowhere"))
    assert frontier.section(evaluation) == ""


def test_pictures_most_alike_are_found_each_once() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (10, 32, 32, 3), np.uint8)
    pictures[7] = pictures[2]
    pictures[4] = np.clip(pictures[9].astype(int) + rng.integers(-20, 20, pictures[9].shape), 0, 255)
    (first, second, distance), nearly, *_ = found = nearest_pairs(pictures)
    assert (first, second) == (2, 7) and distance < 1e-4 and nearly[:2] == (4, 9) and nearly[2] > distance
    places = [place for pair in found for place in pair[:2]]
    assert len(places) == len({*places}) and len(found) == 4
    assert nearest_pairs(pictures[:1]) == [] and nearest_pairs(pictures[:, :8, :8]) == []


CELLS, SEEDS, SIDE = 1200, 15, 128  # 885 MB of pictures


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    """An evaluation of so many cells, whose pictures cost no time."""

    def drawn(model: Any, seeds: list[int], *_: Any) -> Iterator[Any]:
        yield SimpleNamespace(step=1, total=1, x_t=torch.zeros(len(seeds), 3, SIDE, SIDE))

    def loaded(source: str, compute: Any) -> Iterator[Any]:
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


def test_twelve_hundred_cells_stay_under_500_mb(grid: Evaluation, tmp_path: Path) -> None:
    """From the first cell to the page with its plots, the pictures of a seed, and the report."""
    store, results = CellStore(tmp_path), Results(grid, [])
    tracemalloc.start()
    for event in evaluate(grid, store):
        if isinstance(event, CellDone):
            results = event.results
    assert len(results.cells) == CELLS and results.is_complete
    page = [views.figures(results), page_pictures.by_gain(results, store, 0)]
    page += [page_pictures.one_seed(results, store, 0), page_pictures.neighbours(results, store)]
    facts = {"versions": {}, "seeds": list(grid.seeds), "command": "", "compute": ""}
    page.append(render(results, pictures_in(store, results), facts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6 and max(map(len, page)) < 20e6
    assert loading.load is not engine.load

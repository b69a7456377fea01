"""Reward against distance over a run's epochs, and the pictures that are most alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddpo.evaluation import frontier
from ddpo.evaluation.neighbours import nearest_pairs
from ddpo.evaluation.plan import make_evaluation
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

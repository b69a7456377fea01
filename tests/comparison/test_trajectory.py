"""What both models see along the way, scored, and as an animation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from PIL import Image

from ddpo.comparison import trajectory
from ddpo.comparison.animation import middle_seed, write_animation
from ddpo.comparison.compare import compare
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.settings import Comparison, ComparisonSettings, resolve
from ddpo.comparison.trajectory import Moment, Trajectory, follow, followed, scored_steps
from ddpo.diffusion.models import save_model
from ddpo.errors import UserError
from tests.helpers.models import make_unet


@pytest.fixture(scope="module")
def settings(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ComparisonSettings:
    other = tmp_path_factory.mktemp("other")
    save_model(make_unet(seed=1), dict(DDPMScheduler(prediction_type="v_prediction").config), other, torch.float32)
    return ComparisonSettings(
        base=str(tiny_folder), tuned=str(other), steps=30, samples=3, scorer="colourfulness", precision="float32"
    )


@pytest.fixture(scope="module")
def found(settings: ComparisonSettings) -> Trajectory:
    *progress, last = follow(resolve(settings))
    assert isinstance(last, Trajectory) and all(isinstance(event, Progress) for event in progress)
    return last


def test_it_ends_in_the_pictures_and_scores_of_the_comparison(settings: ComparisonSettings, found: Trajectory) -> None:
    (result,) = (event for event in compare(settings) if isinstance(event, ComparisonResult))
    last = found.moments[-1]
    assert last.step == found.total == 30
    for number, (images, scores) in enumerate(
        ((result.base_images, result.base_scores), (result.tuned_images, result.tuned_scores))
    ):
        assert all(np.array_equal(a, b) for a, b in zip(last.pictures[number], map(np.asarray, images), strict=True))
        assert list(last.scores[number]) == scores
    assert found.gains[-1] == pytest.approx(result.statistics.mean_difference)


def test_moments_are_scored_every_few_steps_with_less_and_less_noise(found: Trajectory) -> None:
    assert len(found.moments) == trajectory.MOMENTS and all(
        m.pictures.shape == (2, 3, 16, 16, 3) for m in found.moments
    )
    noise = [moment.noise for moment in found.moments]
    assert noise == sorted(noise, reverse=True) and noise[0] > 0.9 and noise[-1] < 0.5
    assert not np.array_equal(found.moments[0].pictures, found.moments[-1].pictures)


@pytest.mark.parametrize("total", [1, 7, 20, 21, 50, 1000])
def test_the_last_step_is_scored_and_no_more_than_are_shown(total: int) -> None:
    steps = scored_steps(total)
    assert steps[-1] == total and steps[0] >= 1 and len(steps) == min(total, trajectory.MOMENTS)


def test_large_pictures_are_followed_for_fewer_seeds(settings: ComparisonSettings) -> None:
    comparison = replace(resolve(settings), samples=16)
    assert followed(comparison, 64).samples == 8
    assert followed(comparison, 256).samples == 3 and followed(comparison, 4096).samples == 1


def test_it_is_refused_where_it_costs_too_much_and_stops_when_closed(settings: ComparisonSettings) -> None:
    with pytest.raises(UserError, match=r"at most 0\.001 are allowed"):
        list(follow(resolve(settings), 0.001))
    events = follow(resolve(settings))
    while next(events).step < 4:  # type: ignore[union-attr]
        pass
    events.close()  # type: ignore[attr-defined]


def planted(comparison: Comparison, gains: list[float]) -> Trajectory:
    pictures = np.zeros((2, 1, 16, 16, 3), np.uint8)
    moments = [
        Moment(place + 1, 1 - place / len(gains), pictures, np.array([[1.0], [1 + gain]]))
        for place, gain in enumerate(gains)
    ]
    return Trajectory(replace(comparison, samples=1), len(gains), tuple(moments))


@pytest.mark.parametrize(
    ("gains", "step"), [([0, 0, 0.1, 0.6, 1.0], 4), ([0.9, 0.9, 1.0], 1), ([0, 0.9, 0.1, 1.0], 4), ([0, -0.2], None)]
)
def test_half_of_the_gain_is_found_from_where_it_stays(
    settings: ComparisonSettings, gains: list[float], step: int | None
) -> None:
    halfway = planted(resolve(settings), gains).halfway
    assert (halfway.step if halfway else None) == step


@pytest.mark.parametrize("end", [".webp", ".gif"])
def test_the_animation_shows_every_moment_of_a_seed(found: Trajectory, tmp_path: Path, end: str) -> None:
    path = write_animation(found, middle_seed(found), tmp_path / f"together{end}")
    frames: list[Any] = []
    with Image.open(path) as picture:
        for place in range(picture.n_frames):  # type: ignore[attr-defined]
            picture.seek(place)
            frames.append((picture.convert("RGB").tobytes(), picture.size))
    assert len(frames) == len(found.moments) and frames[0][0] != frames[-1][0]
    assert path.stat().st_size < 1_000_000


def test_the_seed_of_the_animation_is_neither_best_nor_worst(found: Trajectory) -> None:
    base, tuned = found.moments[-1].scores
    gains = tuned - base
    assert sorted(gains)[1] == gains[middle_seed(found)]

"""A comparison is paired, can be followed and cancelled, and refuses nonsense in a sentence."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from ddpo.comparison.compare import compare, score_picture
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.settings import MAX_SEED, ComparisonSettings, resolve
from ddpo.diffusion.models import save_model
from ddpo.errors import UserError
from tests.helpers.models import make_unet


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second tiny model with other weights."""
    folder = tmp_path_factory.mktemp("other")
    save_model(make_unet(seed=1), dict(DDPMScheduler(prediction_type="v_prediction").config), folder, torch.float32)
    return folder


def tiny_settings(base: Path, tuned: Path, **changes: Any) -> ComparisonSettings:
    values = {"steps": 5, "samples": 3, "scorer": "colourfulness", "precision": "float32", **changes}
    return ComparisonSettings(base=str(base), tuned=str(tuned), **values)


def run(settings: ComparisonSettings) -> tuple[list[Progress], ComparisonResult]:
    *progress, result = compare(settings)
    assert isinstance(result, ComparisonResult)
    return [event for event in progress if isinstance(event, Progress)], result


@pytest.mark.parametrize(("scheduler", "eta"), [("ddpm", 0.0), ("ddim", 1.0), ("ddim", 0.0), ("pndm", 0.0)])
def test_a_model_against_itself_differs_nowhere(tiny_folder: Path, scheduler: str, eta: float) -> None:
    _, result = run(tiny_settings(tiny_folder, tiny_folder, scheduler=scheduler, eta=eta))
    assert result.base_scores == result.tuned_scores
    assert all(a.tobytes() == b.tobytes() for a, b in zip(result.base_images, result.tuned_images, strict=True))
    assert result.statistics.mean_difference == 0 and result.statistics.win_rate == 0.5
    assert len({image.tobytes() for image in result.base_images}) == 3  # while the seeds do differ


def test_two_models_differ_and_the_order_is_base_then_tuned(tiny_folder: Path, other_folder: Path) -> None:
    _, forward = run(tiny_settings(tiny_folder, other_folder))
    _, backward = run(tiny_settings(other_folder, tiny_folder))
    assert forward.base_scores == backward.tuned_scores != forward.tuned_scores
    assert forward.statistics.mean_difference == pytest.approx(-backward.statistics.mean_difference)


def test_the_seeds_follow_the_first_and_wrap_around(tiny_folder: Path) -> None:
    _, result = run(tiny_settings(tiny_folder, tiny_folder, seed=MAX_SEED))
    assert result.seeds == [MAX_SEED, 0, 1]
    _, from_zero = run(tiny_settings(tiny_folder, tiny_folder, seed=0))
    assert result.base_scores[1:] == pytest.approx(from_zero.base_scores[:2], rel=1e-3)


def test_progress_never_goes_back_and_ends_complete(tiny_folder: Path) -> None:
    progress, _ = run(tiny_settings(tiny_folder, tiny_folder, scheduler="heun"))
    steps = [event.step for event in progress]
    assert steps == sorted(steps)
    assert progress[-1].step == progress[-1].total == 2 * 9  # Heun evaluates 2 n - 1 times
    left = [event.seconds_left for event in progress if event.stage == "Denoising"]
    assert left[-1] == 0 and all(seconds is not None and seconds >= 0 for seconds in left)


def test_previews_show_both_models_half_denoised(tiny_folder: Path, other_folder: Path) -> None:
    progress, result = run(tiny_settings(tiny_folder, other_folder))
    first = next(event.previews for event in progress if event.previews)
    assert [len(images) for images in first] == [3, 3]
    assert first[0][0].size == (16, 16)
    assert first[0][0].tobytes() != first[1][0].tobytes() != result.tuned_images[0].tobytes()


def test_closing_the_iterator_stops_the_networks(tiny_folder: Path) -> None:
    from ddpo.diffusion.models import cache
    from ddpo.diffusion.precision import choose_compute

    calls: list[int] = []
    unet = cache.get(str(tiny_folder), choose_compute("float32")).unet
    hook = unet.register_forward_hook(lambda *_: calls.append(1))
    events: Iterator[Any] = compare(tiny_settings(tiny_folder, tiny_folder, steps=50))
    try:
        while not calls:
            next(events)
        events.close()  # type: ignore[attr-defined]
        assert len(calls) == 2  # one evaluation of each model, of a hundred
        assert next(events, None) is None
    finally:
        hook.remove()


def test_the_json_tells_everything_but_where_the_models_lie(tiny_folder: Path) -> None:
    _, result = run(tiny_settings(tiny_folder, tiny_folder))
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert str(tiny_folder.parent) not in text and tiny_folder.name in text
    facts = json.loads(text)
    assert facts["settings"]["steps"] == 5 and facts["scorer"] == "colourfulness"
    assert facts["seeds"] == [0, 1, 2] and len(facts["base_scores"]) == len(facts["tuned_scores"]) == 3
    assert facts["statistics"]["n"] == 3 and "colourfulness" in facts["sentence"]


def test_the_pairs_own_models_are_named_by_none() -> None:
    settings = ComparisonSettings(steps=1, samples=1)
    assert Path(resolve(settings).base).is_dir()
    *_, result = compare(settings)
    assert isinstance(result, ComparisonResult)
    assert result.to_dict()["settings"]["base"] is None and "/" not in json.dumps(result.to_dict()["settings"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"samples": 0}, "samples"),
        ({"samples": 17}, "samples"),
        ({"samples": 2.5}, "samples"),
        ({"samples": True}, "samples"),
        ({"seed": -1}, "seed"),
        ({"seed": MAX_SEED + 1}, "seed"),
        ({"steps": 10_000}, "steps"),
        ({"steps": 0}, "steps"),
        ({"steps": math.nan}, "steps"),
        ({"steps": "ten"}, "steps"),
        ({"scheduler": "pndm", "steps": 3}, "steps"),
        ({"eta": 7.0}, "eta"),
        ({"eta": -0.1}, "eta"),
        ({"eta": math.nan}, "eta"),
        ({"eta": "much"}, "eta"),
        ({"scheduler": "euler"}, "scheduler"),
        ({"scheduler": ["ddim"]}, "scheduler"),
        ({"pair": "cathedral-9000"}, "pair"),
        ({"pair": "own"}, "Give both models"),
        ({"pair": "own", "base": "a/b"}, "Give both models"),
        ({"scorer": "beauty"}, "beauty"),
        ({"scorer": "os:getcwd"}, "command line"),
        ({"base": 7}, "base"),
        ({"base": "a\0b"}, "base"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        ComparisonSettings(**changes)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no diffusion model"):
        list(compare(ComparisonSettings(base=str(tmp_path), steps=1)))


def test_models_of_different_sizes_are_not_compared(tiny_folder: Path) -> None:
    with pytest.raises(UserError, match="different sizes"):
        list(compare(ComparisonSettings(base=str(tiny_folder), steps=1)))


def test_two_models_of_ones_own_are_named_and_belong_to_no_pair(tiny_folder: Path, other_folder: Path) -> None:
    for pair in ("own", "church-64"):
        _, result = run(tiny_settings(tiny_folder, other_folder, pair=pair))
        settings = result.to_dict()["settings"]
        assert (settings["pair"], settings["base"], settings["tuned"]) == ("own", tiny_folder.name, other_folder.name)
        assert result.comparison.models == f"{tiny_folder.name} against {other_folder.name}"
    mixed = resolve(ComparisonSettings(pair="church-64", tuned=str(other_folder)))
    assert mixed.models == f"church-64 (bundled) with {other_folder.name} as its finetuned model"


def test_a_scorer_that_cannot_be_had_is_told_before_anything_is_drawn(tiny_folder: Path) -> None:
    events = compare(tiny_settings(tiny_folder, tiny_folder, scorer="laion-v2"))
    stages = []
    with pytest.raises(UserError, match="stay offline"):
        stages += [event.stage for event in events if isinstance(event, Progress)]
    assert "Denoising" not in stages


def test_one_picture_can_be_scored_whatever_its_mode() -> None:
    from PIL import Image

    grey = score_picture(Image.new("L", (40, 30), 128), "colourfulness")
    colourful = Image.new("RGBA", (40, 30), (255, 0, 0, 255))
    colourful.paste((0, 0, 255, 255), (0, 0, 20, 30))
    assert grey == pytest.approx(0, abs=1e-3) and score_picture(colourful, "colourfulness") > 50


@pytest.mark.parametrize("scorer", ["photographic", "prompt:a sunny day|a grey day"])
def test_a_comparison_can_be_handed_to_the_process_that_has_the_gpu(scorer: str) -> None:
    comparison = resolve(ComparisonSettings(pair="church-64", scorer=scorer, steps=3))
    again = pickle.loads(pickle.dumps(comparison))
    assert again.to_dict() == comparison.to_dict() and again.scorer.title == comparison.scorer.title

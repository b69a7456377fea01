"""A closer look at a comparison: what its events answer, and that nothing is drawn twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch
from diffusers import DDPMScheduler

from ddpo.comparison import compare as engine
from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.rescore import at_hand
from ddpo.diffusion.models import save_model
from ddpo.ui.compare import closer, kept, rescoring, tab
from ddpo.ui.compare.closer import Closer
from ddpo.ui.shared import uploads
from tests.helpers.asking import HERE
from tests.helpers.models import make_unet


@pytest.fixture(autouse=True, scope="module")
def uploads_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uploads, "own_folder", lambda: folder)
        yield


VALUES: dict[str, Any] = {
    "pair": "own", "scheduler": "ddim", "steps": 3, "eta": 0, "samples": 8, "seed": 0, "scorer": "photographic",
    "like": "", "unlike": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    schedule, found = dict(DDPMScheduler(prediction_type="v_prediction").config), {}
    for seed, name in enumerate(("base", "tuned")):
        folder = tmp_path_factory.mktemp(name)
        save_model(make_unet(seed), schedule, folder, torch.float32)
        found[name] = str(folder)
    return found


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for each time that two models begin to draw."""
    begun: list[str] = []
    draw = engine.denoise_both

    def counted(*arguments: Any) -> Any:
        begun.append("drawn")
        return draw(*arguments)

    monkeypatch.setattr(engine, "denoise_both", counted)
    kept.comparisons.clear()
    return begun


def compared(sources: dict[str, str], **changes: Any) -> tuple[str, ComparisonResult]:
    """What Compare shows for these settings: its key and the result."""
    values = {**VALUES, **sources, **changes}
    *_, last = tab._on_compare(HERE, None, None, *(values[name] for name in tab.FIELDS))
    result = kept.comparisons.find(last[-1])
    assert result is not None
    return last[-1], result


def shown(update: list[Any]) -> dict[str, Any]:
    return dict(zip(Closer.__dataclass_fields__, update, strict=True))


def test_one_scorer_after_another_on_the_same_pictures_draws_nothing_again(
    sources: dict[str, str], drawings: list[str]
) -> None:
    _, first = compared(sources)
    names = ["colourfulness", "jpeg-compressibility", "photographic", "jpeg-incompressibility"]
    for name in names:
        _, again = compared(sources, scorer=name)
        assert again.comparison.scorer.name == name
        assert all(a.tobytes() == b.tobytes() for a, b in zip(again.tuned_images, first.tuned_images, strict=True))
        if name == "photographic":
            assert again.tuned_scores == pytest.approx(first.tuned_scores, abs=1e-5)
    assert drawings == ["drawn"]
    compared(sources, scorer="colourfulness", seed=1)
    for path in Path(sources["tuned"]).glob("unet/*"):
        os.utime(path, (1, 1))  # a run that goes on writes its result anew
    compared(sources, scorer="jpeg-compressibility")
    assert drawings == ["drawn"] * 3


def test_all_scorers_stand_in_one_table_and_are_asked_once(
    sources: dict[str, str], drawings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = compared(sources, seed=5)
    table = [shown(update)["scorers"] for update in closer._on_scorers(key)][-2]
    assert all(f"<small>{name}</small>" in table for name in at_hand()) and "nan" not in table
    monkeypatch.setattr(rescoring, "follow", lambda *_: pytest.fail("it was scored again"))
    again = [shown(update)["scorers"] for update in closer._on_scorers(key)][-2]
    assert again == table and drawings == ["drawn"]


def test_the_terms_are_told_of_every_picture(sources: dict[str, str], drawings: list[str]) -> None:
    key, result = compared(sources, seed=9)
    said = shown(closer._on_why(key))["why"]
    for name in ("colour", "sharpness", "composition", "Mean photographic score", *map(str, result.seeds)):
        assert name in said


def test_denoising_together_ends_in_curves_a_film_and_files(sources: dict[str, str], drawings: list[str]) -> None:
    key, result = compared(sources, seed=2)
    *progress, last = map(shown, closer._on_together(HERE, None, key))
    assert progress and all("role" in update["status"] for update in progress)
    assert "The score along the way" in last["along"] and last["along"].count("<img") == 3
    assert 'type="range" min="0" max="2"' in last["along"] and last["animation"].count("data:image/webp") == 1
    assert last["webp"]["value"].endswith(".webp") and Path(last["gif"]["value"]).stat().st_size > 1000
    assert last["seed"]["choices"] == [str(seed) for seed in result.seeds]
    other = shown(closer._on_seed(last["state"], str(result.seeds[0])))
    assert f"seed-{result.seeds[0]}.webp" in other["webp"]["value"]
    for nonsense in (None, "", "seven", 7, ["0"], {"a": 1}):
        assert set(map(str, closer._on_seed(last["state"], nonsense))) == {str(gr.skip())}
        assert set(map(str, closer._on_seed(nonsense, "0"))) == {str(gr.skip())}


@pytest.mark.parametrize("key", [None, "", "gone", 3, ["a"], {}])
def test_without_a_comparison_it_says_so(key: Any) -> None:
    for look in (
        closer._on_scorers,
        lambda key: closer._on_together(HERE, None, key),
        lambda key: [closer._on_why(key)],
    ):
        with pytest.raises(gr.Error, match="press Compare first"):
            list(look(key))

"""Scorers that need a sentence, from the fields of the page to a score."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import gradio as gr
import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from ddpo import rewards
from ddpo.rewards import clip as clip_module
from ddpo.ui import score
from ddpo.ui.compare import kept, tab
from ddpo.ui.shared import scorer_fields
from ddpo.ui.space.asker import Asker
from tests.helpers.clips import TINY_FILE, TINY_SPEC, save_clip, tiny_clip
from tests.helpers.hub_cache import put


@pytest.mark.parametrize(
    ("like", "unlike", "name"),
    [
        ("a sunny day", "", "prompt:a sunny day"),
        ("a sunny day", None, "prompt:a sunny day"),
        ("a sunny day", "a grey day", "prompt:a sunny day|a grey day"),
        ("a sunny day|a grey day", "", "prompt:a sunny day|a grey day"),
    ],
)
def test_the_sentences_stand_behind_the_name(like: str, unlike: str | None, name: str) -> None:
    assert scorer_fields.full_name("prompt", like, unlike) == name


def test_other_scorers_take_none() -> None:
    assert scorer_fields.full_name("photographic", "a sunny day", "a grey day") == "photographic"
    for odd in (None, 7, ["prompt"], "beauty"):
        assert scorer_fields.full_name(odd, "a", "b") == odd


def test_what_cannot_be_offered_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    text = scorer_fields.not_offered()
    for title in ("LAION aesthetic v2", "Likeness to a sentence"):
        assert title in text
    assert "prompt" not in dict(rewards.choices(with_words=True)).values() and "stay offline" in text
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert "prompt" in dict(rewards.choices(with_words=True)).values() and "Likeness" not in scorer_fields.not_offered()


def values(**changes: Any) -> dict[str, Any]:
    """What the controls of the Compare tab hold."""
    start = {
        "pair": "church-64", "scheduler": "ddim", "steps": 1, "eta": 0, "samples": 1, "seed": 0, "scorer": "prompt",
        "like": "a sunny day", "unlike": "", "base": "", "tuned": "",
    }  # fmt: skip
    assert tuple(start) == tab.FIELDS
    return {**start, **changes}


def refusal(handler: Any, *arguments: Any) -> str:
    with pytest.raises(gr.Error) as caught:
        list(handler(*arguments))
    sentence = caught.value.message
    assert sentence.endswith(".") and "\n" not in sentence
    return str(sentence)


def test_both_tabs_say_it_where_the_weights_are_not_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    sentence = "weights of Likeness to “a sunny day” rather than “a grey day” are not on this machine"
    on_page = values(unlike="a grey day")
    assert sentence in refusal(tab._on_compare, None, None, None, *on_page.values())
    assert sentence in refusal(score._on_score, picture(tmp_path), "prompt", "a sunny day", "a grey day")


def test_an_empty_sentence_is_asked_for(tmp_path: Path) -> None:
    assert "needs a sentence" in refusal(tab._on_compare, None, None, None, *values(like=" ").values())
    assert "needs a sentence" in refusal(score._on_score, picture(tmp_path), "prompt", "", "a grey day")
    assert "must be given as text" in refusal(score._on_score, picture(tmp_path), ["prompt"], "", "")


def picture(folder: Path) -> str:
    path = folder / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def test_both_tabs_score_by_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tiny CLIP of random weights, found in the cache as the real one is."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(clip_module, "loaded", {})
    weights = save_clip(tiny_clip(tmp_path), tmp_path / "clip.safetensors")
    for file in (TINY_FILE, clip_module.VIT_L_14.file):
        put(file, tmp_path / "hub", weights)
    monkeypatch.setattr(clip_module, "VIT_L_14", TINY_SPEC)
    assert "prompt" in dict(rewards.choices(with_words=True)).values()
    cards = {
        sentences: next(score._on_score(picture(tmp_path), "prompt", *sentences))
        for sentences in (("a sunny day", ""), ("a grey day", ""), ("a sunny day", "a grey day"))
    }
    scores = {card.partition("<b>")[2].partition("</b>")[0] for card in cards.values()}
    assert len(scores) == 3 and all(-1 <= float(text.replace("\u2212", "-")) <= 1 for text in scores)
    assert "Likeness to “a sunny day” rather than “a grey day”" in cards["a sunny day", "a grey day"]
    *_, last = tab._on_compare(cast("Any", None), None, None, *values(unlike="a grey day").values())
    assert "prompt:a sunny day|a grey day" in last[3]
    result = kept.comparisons.find(last[-1])
    assert result is not None and result.comparison.scorer.name == "prompt:a sunny day|a grey day"


def test_models_typed_for_another_pair_do_not_count() -> None:
    assert tab._read(Asker.OPERATOR, values(scorer="photographic", base="/nowhere", tuned="/nowhere")).base is None
    own = tab._read(Asker.OPERATOR, values(scorer="photographic", pair="own", base="a/b", tuned="c/d"))
    assert (own.pair, own.base, own.tuned) == ("own", "a/b", "c/d")

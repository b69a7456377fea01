"""The age scorers: a classifier's probability of an age over 50 or under 30, and classifiers that are not the one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from ddpo import rewards
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.rewards import age, weights
from tests.helpers.clips import pictures
from tests.helpers.hub_cache import place, put

transformers = pytest.importorskip("transformers", reason="the age scorers need transformers")
PICTURES = {"do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 224}
PICTURES |= {"resample": 2, "feature_extractor_type": "ViTFeatureExtractor"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(age, "loaded", {})
    return tmp_path / "hub"


def put_classifier(cache: Path, folder: Path, classes: tuple[str, ...] = age.CLASSES) -> Any:
    """A tiny ViT with random weights, laid into the cache as the age classifier."""
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(
        transformers.ViTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            initializer_range=0.2,
            id2label=dict(enumerate(classes)),
            label2id={name: index for index, name in enumerate(classes)},
        )
    ).eval()
    model.save_pretrained(folder)
    put(weights.AGE_CONFIG, cache, folder / "config.json")
    put(weights.AGE_MODEL, cache, folder / "model.safetensors")
    place(weights.AGE_PICTURES, cache).write_text(json.dumps(PICTURES))
    return model


def test_scores_are_the_probabilities_of_an_age(cache: Path, tmp_path: Path, compute: Compute) -> None:
    model = put_classifier(cache, tmp_path / "saved")
    pixels, x = pictures(80, 100)
    processor = transformers.ViTImageProcessor(size={"height": 224, "width": 224})
    with torch.no_grad():
        logits = model(**processor([Image.fromarray(p) for p in pixels], return_tensors="pt")).logits
    probabilities = logits.softmax(1)
    old, young = rewards.load("over50", compute), rewards.load("under30", compute)
    torch.testing.assert_close(old(x), probabilities[:, 6:].sum(1), rtol=0, atol=1e-5)
    torch.testing.assert_close(young(x), probabilities[:, :4].sum(1), rtol=0, atol=1e-5)
    assert probabilities[:, 6:].sum(1).std() > 0.001  # the comparison would see a difference


def test_a_batch_scores_as_its_members(cache: Path, tmp_path: Path, compute: Compute) -> None:
    put_classifier(cache, tmp_path / "saved")
    reward, (_, x) = rewards.load("over50", compute), pictures(64, 64, 4)
    torch.testing.assert_close(reward(x), torch.cat([reward(x[i : i + 1]) for i in range(4)]), rtol=0, atol=1e-5)
    with pytest.raises(UserError):
        reward(torch.zeros(3, 64, 64))


def test_a_classifier_of_other_classes_is_refused(cache: Path, tmp_path: Path, compute: Compute) -> None:
    put_classifier(cache, tmp_path / "saved", ("young", "old"))
    with pytest.raises(UserError, match="knows the classes young, old, not the ones expected"):
        rewards.load("over50", compute)


def test_a_damaged_or_missing_classifier_is_said_in_a_sentence(cache: Path, tmp_path: Path, compute: Compute) -> None:
    with pytest.raises(UserError, match="stay offline"):
        rewards.load("over50", compute)
    put_classifier(cache, tmp_path / "saved")
    model = place(weights.AGE_MODEL, cache)
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be read; `hf cache rm model/nateraw/vit-age-classifier`"):
        rewards.load("over50", compute)

"""CLIP: pictures are prepared as open_clip prepares them, embedded in chunks, and compared with sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from open_clip.transform import image_transform
from PIL import Image
from torch import Tensor

from ddpo import rewards
from ddpo.diffusion.parts import in_parts
from ddpo.diffusion.pictures import from_uint8
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.rewards import clip as clip_module
from ddpo.rewards.clip import STD, TOO_FULL, Clip, load_clip, preprocess, read_clip
from tests.helpers.clips import TINY, TINY_FILE, TINY_SPEC, pictures, save_clip, tiny_clip
from tests.helpers.hub_cache import put

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_clip(tmp_path_factory.mktemp("architecture"))


@pytest.fixture(scope="module")
def weights_file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(model, tmp_path_factory.mktemp("weights") / "clip.safetensors")


@pytest.fixture(scope="module")
def clip(model: Any) -> Clip:
    return Clip(model, CPU)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache, and nothing loaded."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(clip_module, "loaded", {})
    return tmp_path


@pytest.fixture
def tiny_prompts(cache: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt rewards use the tiny CLIP, found in the cache."""
    put(TINY_FILE, cache, weights_file)
    put(clip_module.VIT_L_14.file, cache, weights_file)
    monkeypatch.setattr(clip_module, "VIT_L_14", TINY_SPEC)


def straight_embeddings(model: Any, pixels: np.ndarray) -> Tensor:
    """As open_clip's README does it: PIL, its own preprocessing, encode_image, normalise."""
    transform = image_transform(224, is_train=False)
    with torch.no_grad():
        features = torch.cat([model.encode_image(transform(Image.fromarray(p))[None]) for p in pixels])
    return features / features.norm(dim=-1, keepdim=True)


# Preparing pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (224, 224), (256, 256), (301, 197), (33, 700), (2000, 3), (1, 1), (224, 225)]
)
def test_pictures_are_prepared_as_open_clip_prepares_them(height: int, width: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    for pixels, x in ((noise, from_uint8(noise)), pictures(height, width, 1)):
        expected = image_transform(224, is_train=False)(Image.fromarray(pixels[0]))
        levels = (preprocess(x, 224)[0] - expected).abs() * torch.tensor(STD).view(3, 1, 1) * 255
        assert levels.max() < 1.01  # one level of 255, where Pillow's fixed-point sums round the other way
        assert (levels > 0.5).float().mean() < 0.01


def test_a_very_long_picture_is_not_enlarged_as_a_whole() -> None:
    """224 x 22.4 million pixels would take 60 GB."""
    assert preprocess(torch.zeros(1, 3, 1, 100_000), 224).shape == (1, 3, 224, 224)


# Embedding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 256), (301, 197)])
def test_embeddings_are_those_of_open_clip(model: Any, clip: Clip, height: int, width: int) -> None:
    pixels, x = pictures(height, width)
    embeddings = clip.embed_images(x)
    assert embeddings.shape == (3, 768) and embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings, straight_embeddings(model, pixels), rtol=0, atol=5e-4)
    assert (embeddings[0] - embeddings[1]).norm() > 0.05  # the comparison would see a difference


def test_a_batch_is_embedded_as_its_members_and_in_any_chunks(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    _, x = pictures(64, 64, 5)
    together = clip.embed_images(x)
    alone = torch.cat([clip.embed_images(x[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    monkeypatch.setattr(clip_module, "CHUNK", 2)
    torch.testing.assert_close(clip.embed_images(x), together, rtol=0, atol=1e-5)


def test_embedding_keeps_no_gradients_unasked_and_ignores_autocast(clip: Clip) -> None:
    _, x = pictures(64, 64, 2)
    expected = clip.embed_images(x)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        embeddings = clip.embed_images(x.requires_grad_())
    assert not embeddings.requires_grad and torch.equal(embeddings, expected)


def test_chunks_shrink_until_they_fit_the_memory() -> None:
    tried: list[int] = []

    def encode(chunk: Tensor) -> Tensor:
        tried.append(len(chunk))
        if len(chunk) > 3:
            raise torch.OutOfMemoryError
        return 2 * chunk

    x = torch.arange(13.0)
    done, size = in_parts(encode, x, 16, TOO_FULL)
    assert torch.equal(done, 2 * x) and size == 2
    assert tried == [13, 8, 4, 2, 2, 2, 2, 2, 2, 1]


def test_a_picture_that_fits_no_memory_is_said_in_a_sentence() -> None:
    def encode(chunk: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(UserError, match="memory is too full"):
        in_parts(encode, torch.zeros(4), 4, TOO_FULL)


# Loading --------------------------------------------------------------------------------------------------------------


def test_a_model_read_from_its_file_is_the_one_saved(model: Any, weights_file: Path) -> None:
    read = read_clip(TINY, weights_file)
    tokens = open_clip.tokenize(["a sunny day", "a church in the fog"])
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(read.encode_text(tokens), model.encode_text(tokens), rtol=0, atol=1e-5)
        torch.testing.assert_close(read.encode_image(x), model.encode_image(x), rtol=0, atol=1e-5)


def test_damaged_and_foreign_weights_are_refused(model: Any, weights_file: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights_file.read_bytes()[:-1000])
    for architecture, path in ((TINY, damaged), ("ViT-B-32-quickgelu", weights_file), (TINY, tmp_path / "none")):
        with pytest.raises(UserError, match=r"delete the file and try again\.$"):
            read_clip(architecture, path)


def test_the_weights_are_found_in_the_cache_and_kept(cache: Path, weights_file: Path, compute: Compute) -> None:
    put(TINY_FILE, cache, weights_file)
    assert load_clip(TINY_SPEC, compute) is load_clip(TINY_SPEC, compute)


def test_weights_that_cannot_be_had_are_named(cache: Path, compute: Compute) -> None:
    with pytest.raises(UserError, match=r"tests/tiny-clip is not on this machine and the Hugging Face Hub cannot"):
        load_clip(TINY_SPEC, compute)


# Sentences ------------------------------------------------------------------------------------------------------------


def test_prompt_is_the_cosine_to_a_sentence(model: Any, tiny_prompts: None, compute: Compute) -> None:
    pixels, x = pictures(64, 64)
    with torch.no_grad():
        text = model.encode_text(open_clip.tokenize(["a sunny day"]))[0]
    expected = torch.nn.functional.cosine_similarity(straight_embeddings(model, pixels), text[None])
    scores = rewards.load("prompt:a sunny day", compute)(x)
    torch.testing.assert_close(scores, expected, rtol=0, atol=5e-4)


def test_prompt_is_the_cosine_to_the_difference_of_two(model: Any, tiny_prompts: None, compute: Compute) -> None:
    pixels, x = pictures(64, 64)
    with torch.no_grad():
        for_it, against = torch.nn.functional.normalize(
            model.encode_text(open_clip.tokenize(["a sunny day", "a grey day"])), dim=-1
        )
    expected = torch.nn.functional.cosine_similarity(straight_embeddings(model, pixels), (for_it - against)[None])
    forth = rewards.load("prompt:a sunny day|a grey day", compute)(x)
    torch.testing.assert_close(forth, expected, rtol=0, atol=5e-4)
    torch.testing.assert_close(rewards.load("prompt:a grey day|a sunny day", compute)(x), -forth)


def test_a_prompt_scores_a_batch_as_its_members(tiny_prompts: None, compute: Compute) -> None:
    reward, (_, x) = rewards.load("prompt:snow", compute), pictures(64, 64)
    alone = torch.cat([reward(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(reward(x), alone, rtol=0, atol=1e-5)
    for wrong in (torch.zeros(3, 64, 64), torch.full((1, 3, 64, 64), float("nan"))):
        with pytest.raises(UserError):
            reward(wrong)


def test_a_prompt_is_named_after_its_sentences() -> None:
    spec = rewards.get("prompt:  a sunny   day |a grey day")
    assert spec.name == "prompt:a sunny day|a grey day" == rewards.get(spec.name).name
    assert spec.title == "Likeness to “a sunny day” rather than “a grey day”"
    assert rewards.get("prompt:at 10:30").title == "Likeness to “at 10:30”"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("prompt", "needs a sentence"),
        ("prompt:", "needs a sentence"),
        ("prompt: | a grey day", "needs a sentence"),
        ("prompt:a|b|c", "and 3 were given"),
        ("prompt:a day|a  day", "are the same"),
        ("prompt:" + "x" * 301, "301 characters is too long"),
        ("prompt:a\0b", "characters that are no text"),
        ("photographic:a sunny day", "write photographic alone"),
    ],
)
def test_a_prompt_without_a_usable_sentence_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rewards.get(name)


def test_sentences_that_clip_cannot_tell_apart_or_read_whole_are_refused(tiny_prompts: None, compute: Compute) -> None:
    with pytest.raises(UserError, match="reads the two sentences"):
        rewards.load("prompt:A Sunny Day|a sunny day", compute)
    with pytest.raises(UserError, match="CLIP reads 75"):
        rewards.load("prompt:" + "x y " * 74, compute)

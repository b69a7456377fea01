"""LAION's predictors: the heads on the published data, the whole chain, and heads that are not what they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from open_clip.transform import image_transform
from PIL import Image
from torch import Tensor, nn

from ddpo import rewards
from ddpo.common.files import sha256
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.rewards import clip as clip_module
from ddpo.rewards import laion, weights
from ddpo.rewards.clip import Clip
from ddpo.rewards.laion import V1, V1_B_32, V2, Head, LaionScorer, MlpHead, read_head
from tests.helpers.clips import TINY_FILE, TINY_SPEC, pictures, save_clip, tiny_clip
from tests.helpers.here import ROOT
from tests.helpers.hub_cache import put

DATA = ROOT.parent / "shared" / "laion"
V2_FILE = DATA / "sac+logos+ava1-l14-linearMSE.pth"
with_data = pytest.mark.skipif(not V2_FILE.is_file(), reason=f"LAION's heads and embeddings are not in {DATA}")
CPU = torch.device("cpu")


def random_head(seed: int = 0) -> MlpHead:
    """The v2 head with random weights, as steep as the real one: its score changes by 18 along a unit vector."""
    torch.manual_seed(seed)
    head = MlpHead()
    layers = [layer for layer in head.layers if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        steepness = torch.linalg.multi_dot([layer.weight for layer in reversed(layers)]).norm()
        layers[-1].weight.mul_(18 / steepness)
    return head


def straight_scores(model: Any, head: nn.Module, pixels: np.ndarray) -> Tensor:
    """The published steps on 8-bit pictures, one by one."""
    transform = image_transform(224, is_train=False)
    scores = []
    for picture in pixels:
        with torch.no_grad():
            features = model.encode_image(transform(Image.fromarray(picture)).unsqueeze(0))
            features = features / features.norm(dim=-1, keepdim=True)
            scores.append(head.eval()(features))
    return torch.cat(scores).flatten()


# The published data ---------------------------------------------------------------------------------------------------


@with_data
@pytest.mark.parametrize(
    ("head", "filename", "embeddings", "table"),
    [
        (V2, V2_FILE.name, "vit_l_14_embeddings", {0: 1.655, 4: 4.238, 9: 5.747}),
        (V1, "sa_0_4_vit_l_14_linear.pth", "vit_l_14_embeddings", {0: -2.458, 4: 5.100, 9: 11.304}),
        (V1_B_32, "sa_0_4_vit_b_32_linear.pth", "vit_b_32_embeddings", {0: -1.470, 4: 5.087, 9: 11.006}),
    ],
    ids=["v2", "v1", "v1-b32"],
)
def test_the_heads_score_the_mean_embeddings_as_published(
    head: Head, filename: str, embeddings: str, table: dict[int, float]
) -> None:
    means = np.stack([np.load(DATA / embeddings / f"rating{n}.npy").reshape(-1) for n in range(10)])
    with torch.no_grad():
        scores = read_head(DATA / filename, head).eval()(torch.from_numpy(means).float()).squeeze(1)
    assert (scores.diff() > 0).all()
    for bucket, expected in table.items():
        assert scores[bucket].item() == pytest.approx(expected, abs=1e-3)


@with_data
@pytest.mark.parametrize(("head", "filename"), [(V1, V1.file.filename), (V1_B_32, V1_B_32.file.filename)])
def test_the_checksums_of_the_v1_files_are_those_published(head: Head, filename: str) -> None:
    assert sha256(DATA / filename) == head.file.sha256


# The whole chain ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full_size() -> Any:
    """The image encoder of ViT-L/14 at its full size, with random weights; the sentences' part is not needed here."""
    torch.manual_seed(0)
    config = open_clip.get_model_config("ViT-L-14-quickgelu")
    config["text_cfg"] = {"context_length": 77, "vocab_size": 100, "width": 64, "heads": 1, "layers": 1}
    model = open_clip.CLIP(**config).eval()
    with torch.no_grad():
        model.visual.class_embedding.zero_()  # else it outweighs the picture in a model that has learnt nothing
    return model


def test_the_chain_on_the_full_vit_l_14_is_the_published_one(full_size: Any) -> None:
    head = random_head()
    scorer = LaionScorer(Clip(full_size, CPU), head)
    seen = []
    for height, width in ((64, 64), (256, 256), (301, 197)):
        pixels, x = pictures(height, width, 1)
        expected = straight_scores(full_size, head, pixels)
        torch.testing.assert_close(scorer(x), expected, rtol=0, atol=0.005)
        seen.append(expected.item())
    assert max(seen) - min(seen) > 0.05  # random weights tell pictures apart badly, but enough to see a difference


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_clip(tmp_path_factory.mktemp("architecture"))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 256), (301, 197), (97, 640)])
def test_the_chain_on_a_small_clip_is_the_published_one(tiny: Any, height: int, width: int) -> None:
    head = random_head()
    pixels, x = pictures(height, width)
    expected = straight_scores(tiny, head, pixels)
    torch.testing.assert_close(LaionScorer(Clip(tiny, CPU), head)(x), expected, rtol=0, atol=0.001)
    assert expected.max() - expected.min() > 0.05


def test_a_batch_scores_as_its_members(tiny: Any) -> None:
    scorer, (_, x) = LaionScorer(Clip(tiny, CPU), random_head()), pictures(64, 64, 5)
    scores = scorer(x)
    assert scores.shape == (5,) and scores.dtype == torch.float32 and not scores.requires_grad
    torch.testing.assert_close(scores, torch.cat([scorer(x[i : i + 1]) for i in range(5)]), rtol=0, atol=1e-4)
    assert torch.equal(scorer(x), scores)
    for wrong in (torch.zeros(3, 64, 64), torch.zeros(1, 4, 64, 64), torch.full((1, 3, 64, 64), float("nan"))):
        with pytest.raises(UserError):
            scorer(wrong)


# Getting the weights --------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache, and nothing loaded."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    monkeypatch.setattr(clip_module, "loaded", {})
    return tmp_path / "hub"


def test_by_its_name_the_scorer_is_made_of_the_files_in_the_cache(
    tiny: Any, cache: Path, tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = random_head()
    path = tmp_path / "head.pth"
    torch.save(head.state_dict(), path)
    put(TINY_FILE, cache, save_clip(tiny, tmp_path / "clip.safetensors"))
    put(weights.CLIP_L_14, cache, path)  # that something is there is all that the registry asks
    put(weights.LAION_V2, cache, path)
    monkeypatch.setattr(laion, "V2", replace(V2, clip=TINY_SPEC, digest=laion.tensors_digest(head.state_dict())))
    pixels, x = pictures(64, 64)
    assert rewards.get("laion-v2").obstacle() is None and rewards.get("laion-v2").download_megabytes == 0
    torch.testing.assert_close(
        rewards.load("laion-v2", compute)(x), straight_scores(tiny, head, pixels), rtol=0, atol=0.001
    )


@pytest.mark.parametrize("name", ["laion-v2", "laion-v1", "laion-v1-b32"])
def test_without_weights_and_network_the_scorer_says_so(cache: Path, compute: Compute, name: str) -> None:
    spec = rewards.get(name)
    assert spec.obstacle() is not None and spec.download_megabytes > 100
    with pytest.raises(UserError, match=r"are not on this machine, and it is set to stay offline"):
        rewards.load(name, compute)
    with pytest.raises(UserError, match=r"is not on this machine and .* cannot be reached"):
        spec.load(compute)


def save(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def test_a_head_with_other_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not hold the published weights: the SHA-256 checksum"):
        read_head(save(random_head().state_dict(), tmp_path / "head.pth"), V2)


@pytest.mark.parametrize(
    "state",
    [
        nn.Linear(768, 1).state_dict(),
        {**MlpHead().state_dict(), "layers.7.weight": torch.zeros(1, 17)},
        {**MlpHead().state_dict(), "layers.8.weight": torch.zeros(1)},
        {"layers.0.weight": "no tensor"},
        [1, 2, 3],
    ],
    ids=["v1", "shape", "more", "text", "list"],
)
def test_a_head_with_other_layers_is_refused(state: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has not the layers of the one expected"):
        read_head(save(state, tmp_path / "head.pth"), V2)


class Evil:
    """Would run a command if it were unpickled without care."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("was-unpickled"),)  # type: ignore[return-value]


def test_a_damaged_head_is_refused_and_nothing_but_tensors_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = save(random_head().state_dict(), tmp_path / "whole.pth").read_bytes()
    for name, content in {"cut": whole[:-500], "empty": b"", "text": b"<html>not found</html>"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=r"cannot be read; delete the file and try again\.$"):
            read_head(tmp_path / name, V2)
    with pytest.raises(UserError, match="cannot be read"):
        read_head(save(Evil(), tmp_path / "evil"), V2)
    assert not (tmp_path / "was-unpickled").exists()

"""LAION's aesthetic predictors: a head on CLIP embeddings, trained on people's ratings of pictures.

v2 is christophschuhmann/improved-aesthetic-predictor, the aesthetic reward of Black et al. 2023 (arXiv 2305.13301,
section 5.2); v1 is LAION-AI/aesthetic-predictor.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ddpo.errors import UserError
from ddpo.rewards import weights
from ddpo.rewards.clip import VIT_B_32, VIT_L_14, Clip, ClipSpec, load_clip
from ddpo.rewards.slopes import is_asked_for
from ddpo.rewards.weights import WeightsFile

if TYPE_CHECKING:
    from ddpo.diffusion.precision import Compute
    from ddpo.rewards import Reward


class MlpHead(nn.Module):
    """The head of v2: five linear layers without activations, with dropout while it was trained."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(768, 1024),
            nn.Dropout(0.2),
            nn.Linear(1024, 128),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Dropout(0.1),
            nn.Linear(64, 16),
            nn.Linear(16, 1),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map (B, 768) embeddings of unit length to (B, 1)."""
        scores: Tensor = self.layers(embeddings)
        return scores


@dataclass(frozen=True)
class Head:
    """A head, the CLIP model that it was trained on, and how to know its weights."""

    clip: ClipSpec
    file: WeightsFile
    build: Callable[[], nn.Module]
    digest: str  # of its tensors, see `tensors_digest`: the files that hold them differ


V2 = Head(VIT_L_14, weights.LAION_V2, MlpHead, "da17f86f2c73edeff23b5beb5335ced5a4356fbf8f6c51fdf146accd39b9243f")
V1 = Head(
    VIT_L_14,
    weights.LAION_V1_L_14,
    lambda: nn.Linear(768, 1),
    "d7ef6c682d1e18a2d3bbb8d792c4e831e751e53cb5d3e47d38ff0f63290d3e7c",
)
V1_B_32 = Head(
    VIT_B_32,
    weights.LAION_V1_B_32,
    lambda: nn.Linear(512, 1),
    "446d75b28d3b8aab3cd00e43e9d67698968f2312ba18eff54f4cdc3ab358b28b",
)


class LaionScorer:
    """Pictures to scores: CLIP, then a head."""

    def __init__(self, clip: Clip, head: nn.Module) -> None:
        self._clip, self._head = clip, head.eval().requires_grad_(False)

    def __call__(self, images: Tensor) -> Tensor:
        """Score pictures: (B, 3, H, W) float32 in [-1, 1] -> (B,) float32, on the device of the pictures.

        Raises:
            UserError: not a batch of RGB pictures.
        """
        embeddings = self._clip.embed_images(images)
        with torch.set_grad_enabled(is_asked_for(embeddings)), torch.autocast(images.device.type, enabled=False):
            return self._head.to(images.device)(embeddings).squeeze(1)


def read_head(path: Path, head: Head) -> nn.Module:
    """The head with the weights of a file, checked.

    Args:
        path: a state dict as torch saves it; nothing but tensors is unpickled.
        head: which one it has to be.

    Raises:
        UserError: the file is damaged, or holds something else.
    """
    path = path.resolve()  # in the Hub's cache it is a link, and what it leads to has to go
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise UserError(f"The aesthetic head {path} cannot be read; delete the file and try again.") from error
    model = head.build()
    _check_shapes(path, state, model)
    if tensors_digest(state) != head.digest:
        raise UserError(
            f"The aesthetic head {path} does not hold the published weights: the SHA-256 checksum of its tensors is "
            "another one; delete the file and try again."
        )
    model.load_state_dict(state)
    return model


def _check_shapes(path: Path, state: object, model: nn.Module) -> None:
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    tensors = state if isinstance(state, dict) and all(isinstance(t, Tensor) for t in state.values()) else {}
    if {name: tuple(weight.shape) for name, weight in tensors.items()} != expected:
        raise UserError(
            f"The aesthetic head {path} has not the layers of the one expected; delete the file and try again."
        )


def tensors_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over each tensor's name and its float32 little-endian bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].float().contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def load_v2(compute: Compute) -> Reward:
    """The scorer of v2. Raises UserError where its weights cannot be had."""
    return _load(V2, compute)


def load_v1(compute: Compute) -> Reward:
    """The scorer of v1 on ViT-L/14. Raises UserError where its weights cannot be had."""
    return _load(V1, compute)


def load_v1_b_32(compute: Compute) -> Reward:
    """The scorer of v1 on ViT-B/32. Raises UserError where its weights cannot be had."""
    return _load(V1_B_32, compute)


def _load(head: Head, compute: Compute) -> Reward:
    module = read_head(weights.fetch(head.file), head)  # first: it is small, and what is wrong shows at once
    return LaionScorer(load_clip(head.clip, compute), module)

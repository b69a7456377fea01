"""CLIP (Radford et al. 2021, arXiv 2103.00020) through open_clip: embeddings of pictures and of sentences.

Everything runs in float32 whatever the precision of the diffusion model, so that a score is the same on every machine.
Embeddings have a gradient where one is asked for. The layers are then computed twice, as ViT-L/14 would keep about half
a gigabyte a picture (an estimate: 24 layers of 257 x 1024 numbers, some twenty times each).
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ddpo.diffusion.parts import in_parts
from ddpo.diffusion.pictures import check_images
from ddpo.errors import UserError
from ddpo.rewards import weights
from ddpo.rewards.slopes import is_asked_for
from ddpo.rewards.weights import WeightsFile

if TYPE_CHECKING:
    from ddpo.diffusion.precision import Compute

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pictures that CLIP was trained on, sRGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)
TOO_FULL = "The memory is too full to score a picture; free some, or choose another scorer."
CHUNK = 16  # pictures encoded together: ViT-L/14 in float32 then needs about 0.5 GB beside its 1.2 GB of weights


@dataclass(frozen=True)
class ClipSpec:
    """A CLIP model: its architecture under open_clip's name, and its weights."""

    architecture: str
    file: WeightsFile


VIT_L_14 = ClipSpec("ViT-L-14-quickgelu", weights.CLIP_L_14)
VIT_B_32 = ClipSpec("ViT-B-32-quickgelu", weights.CLIP_B_32)


class Clip:
    """A CLIP model, frozen: pictures are encoded on the device, sentences, which are few, on the CPU."""

    def __init__(self, model: Any, device: torch.device) -> None:
        """Take over an `open_clip.CLIP` on the CPU; its image encoder is moved to the device."""
        self._model = model.eval().requires_grad_(False)
        self._visual = model.visual.to(device)
        self._device = device
        self._image_size: int = model.visual.image_size[0]

    def embed_images(self, images: Tensor) -> Tensor:
        """Embeddings of pictures of any size.

        Args:
            images: (B, 3, H, W) float32 in [-1, 1], on any device.

        Returns:
            (B, D) float32 of unit length, on the device of the pictures; with a gradient where the pictures want one.

        Raises:
            UserError: not a batch of RGB pictures, or one picture alone does not fit the device's memory.
        """
        check_images(images)
        return in_parts(self._embed, images, CHUNK, TOO_FULL)[0].to(images.device)

    def _embed(self, images: Tensor) -> Tensor:
        learned = is_asked_for(images)
        self._visual.set_grad_checkpointing(learned)
        with torch.set_grad_enabled(learned), torch.autocast(self._device.type, enabled=False):
            features = self._visual(preprocess(images.to(self._device), self._image_size))
            return nn.functional.normalize(features.float(), dim=-1)

    def embed_text(self, sentences: list[str]) -> Tensor:
        """Embeddings of sentences: (N, D) float32 of unit length, on the CPU.

        Raises:
            UserError: a sentence is longer than CLIP reads.
        """
        from open_clip import SimpleTokenizer

        tokenizer, length = SimpleTokenizer(), self._model.context_length
        for sentence in sentences:
            tokens = len(tokenizer.encode(sentence))
            if tokens > length - 2:  # a start and an end are added
                raise UserError(f"A sentence of {tokens} tokens is too long: CLIP reads {length - 2}; shorten it.")
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            embeddings: Tensor = self._model.encode_text(tokenizer(sentences, length), normalize=True)
        return embeddings


# Pictures as CLIP takes them ------------------------------------------------------------------------------------------


def preprocess(images: Tensor, size: int) -> Tensor:
    """What open_clip does to a PIL image: shorter side to `size` (bicubic, antialias), centre crop, mean and std.

    Pillow rounds to 8 bits before it resizes, between its two passes and at the end; so does this, unless a gradient is
    asked for, which rounding has none of.

    Args:
        images: (B, 3, H, W) float in [-1, 1].
        size: pixels a side of what CLIP takes.

    Returns:
        (B, 3, size, size) float32, on the same device.
    """
    height, width = images.shape[2:]
    scaled = [size if side == min(height, width) else int(size * side / min(height, width)) for side in (height, width)]
    (rows, top), (columns, left) = (
        resampling(before, after, round((after - size) / 2), size)
        for before, after in zip((height, width), scaled, strict=True)
    )
    seen = images[..., top : top + rows.shape[1], left : left + columns.shape[1]]
    levels = (seen.float().clamp(-1, 1) + 1) * 127.5
    levels = levels if is_asked_for(levels) else levels.round()
    levels = _to_levels(levels @ columns.T.to(images.device))  # (B, 3, rows seen, size)
    levels = _to_levels(rows.to(images.device) @ levels)  # (B, 3, size, size)
    mean, std = (torch.tensor(of, device=images.device).view(3, 1, 1) for of in (MEAN, STD))
    return (levels / 255 - mean) / std


def _to_levels(x: Tensor) -> Tensor:
    return (x if is_asked_for(x) else (x + 0.5).floor()).clamp(0, 255)


def resampling(before: int, after: int, first: int, count: int) -> tuple[Tensor, int]:
    """Pillow's bicubic resampling of one axis as a matrix (Keys 1981 with a = -0.5, widened where it reduces).

    The matrix is that of the crop alone, so that a very long picture is never enlarged as a whole.

    Args:
        before: pixels of the axis.
        after: pixels that it is resized to.
        first: first of the resized pixels that is wanted.
        count: how many are wanted.

    Returns:
        (count, N) float32 of which every row sums to 1, and the first of the N pixels that it is applied to.
    """
    scale = before / after
    width = max(scale, 1.0)
    low = max(0, int((first + 0.5) * scale - 2 * width))
    high = min(before, math.ceil((first + count - 0.5) * scale + 2 * width))
    centres = (torch.arange(first, first + count, dtype=torch.float64) + 0.5) * scale
    distance = (torch.arange(low, high, dtype=torch.float64) + 0.5 - centres[:, None]).abs() / width
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    kernel = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    return (kernel / kernel.sum(1, keepdim=True)).float(), low


# Loading --------------------------------------------------------------------------------------------------------------

loaded: dict[tuple[ClipSpec, str], Clip] = {}
_lock = threading.Lock()


def load_clip(spec: ClipSpec, compute: Compute) -> Clip:
    """The model of that name on that device, fetched on first use and kept.

    Raises:
        UserError: the weights cannot be had or are damaged.
    """
    key = (spec, str(compute.device))
    with _lock:
        if key not in loaded:
            loaded[key] = Clip(read_clip(spec.architecture, weights.fetch(spec.file)), compute.device)
        return loaded[key]


def read_clip(architecture: str, path: Path) -> Any:
    """An `open_clip.CLIP` with the weights of a safetensors file, on the CPU.

    Raises:
        UserError: the file is damaged or belongs to another architecture.
    """
    import open_clip
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with torch.device("meta"):  # random weights that are thrown away would cost seconds
        model = open_clip.CLIP(**open_clip.get_model_config(architecture))
    try:
        state = {name: weight.float() for name, weight in load_file(path).items()}
        state["logit_scale"] = state["logit_scale"].reshape(model.logit_scale.shape)
        model.load_state_dict(state, assign=True)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise UserError(
            f"The weights in {path} are damaged or are not those of {architecture}; delete the file and try again."
        ) from error
    # The one tensor that is made and not loaded.
    model.attn_mask = torch.full((model.context_length, model.context_length), -math.inf).triu(1)
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    return model

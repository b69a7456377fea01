"""What the tests of the CLIP scorers share: a tiny CLIP with random weights, a Hub cache with files in it, pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor

from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.pictures import from_uint8
from ddpo.rewards.clip import ClipSpec
from ddpo.rewards.weights import WeightsFile

TINY = "tiny-clip-for-tests"  # as wide as ViT-L/14 where the heads begin
TINY_FILE = WeightsFile("tests/tiny-clip", "open_clip_model.safetensors", 20, revision="0" * 40)
TINY_SPEC = ClipSpec(TINY, TINY_FILE)
CONFIG: dict[str, Any] = {
    "embed_dim": 768,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}


def tiny_clip(folder: Path, seed: int = 0) -> Any:
    """A CLIP of 6 M parameters with random weights that tell pictures apart; open_clip then knows its architecture."""
    (folder / f"{TINY}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder)
    torch.manual_seed(seed)
    model = open_clip.CLIP(**open_clip.get_model_config(TINY)).eval()
    with torch.no_grad():
        model.visual.class_embedding.zero_()  # else it outweighs the picture in a model that has learnt nothing
    return model


def save_clip(model: Any, path: Path) -> Path:
    """The weights of a model as a safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.contiguous() for name, weight in model.state_dict().items()}, path)
    return path


def pictures(height: int, width: int, count: int = 3) -> tuple[np.ndarray, Tensor]:
    """Drawn churches, cut or repeated to a size: (count, H, W, 3) uint8, and as (count, 3, H, W) in [-1, 1]."""
    scenes = draw_scenes(710_000, count)
    times = (1, -(-height // 64), -(-width // 64), 1)
    pixels = np.ascontiguousarray(np.tile(scenes, times)[:, :height, :width])
    return pixels, from_uint8(pixels)

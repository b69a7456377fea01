"""From a source (bundle folder, local folder; later a Hub id) to a UNet2DModel and its noise schedule."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from ddpo.errors import UserError
from ddpo.policy import NoiseSchedule
from ddpo.precision import Compute


@dataclass(frozen=True)
class DiffusionModel:
    """An unconditional diffusion model, ready to sample from."""

    source: str
    unet: UNet2DModel  # float32 weights, in eval mode, on the device it was loaded for
    scheduler_config: dict[str, Any]  # as it came with the model

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one sample."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.unet.config.in_channels, height, width

    @property
    def noise_schedule(self) -> NoiseSchedule:
        """The forward process and the prediction type, read from the scheduler config."""
        scheduler = DDPMScheduler.from_config(self.scheduler_config)
        clip = scheduler.config.clip_sample_range if scheduler.config.clip_sample else None
        return NoiseSchedule(scheduler.alphas_cumprod, scheduler.config.prediction_type, clip)


def load_model(source: str, compute: Compute) -> DiffusionModel:
    """Load a model from a folder in either layout: `unet/` and `scheduler/`, or everything in the root.

    Args:
        source: path of the folder.
        compute: where the weights are to live.

    Raises:
        UserError: there is no such folder, it holds no model, not an unconditional pixel UNet2DModel, or it is damaged.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise UserError(f"There is no folder {source!r}; give the path of a folder that holds a diffusers model.")
    unet_folder = _part(folder, "unet", "config.json")
    scheduler_folder = _part(folder, "scheduler", "scheduler_config.json")
    _check_architecture(_read_json(unet_folder / "config.json"), source)
    try:
        unet = UNet2DModel.from_pretrained(unet_folder, torch_dtype=torch.float32, local_files_only=True)
    except Exception as error:  # whatever the loader meets in a damaged file
        raise UserError(f"The weights in {source!r} cannot be read; the files are damaged or incomplete.") from error
    return DiffusionModel(
        source=source,
        unet=_laid_out(unet, compute).eval().requires_grad_(False),
        scheduler_config=_read_json(scheduler_folder / "scheduler_config.json"),
    )


def _laid_out(unet: UNet2DModel, compute: Compute) -> UNet2DModel:
    """On the device; on a CPU with channels last, in which small convolutions are a fifth quicker on one core."""
    layout = torch.channels_last if compute.device.type == "cpu" else torch.preserve_format
    return unet.to(compute.device, memory_format=layout)


def save_model(unet: UNet2DModel, scheduler_config: dict[str, Any], folder: Path, dtype: torch.dtype) -> None:
    """Write a folder that `DDPMPipeline.from_pretrained` loads; safetensors in the given dtype."""
    # Without the private entries, of which one is the folder that the model was loaded from.
    copy = UNet2DModel.from_config({name: value for name, value in unet.config.items() if not name.startswith("_")})
    weights = {name: weight.detach().to("cpu", dtype) for name, weight in unet.state_dict().items()}
    copy.load_state_dict(weights, assign=True)
    scheduler = DDPMScheduler.from_config(scheduler_config)
    DDPMPipeline(unet=copy, scheduler=scheduler).save_pretrained(folder, safe_serialization=True)


def _part(folder: Path, name: str, marker: str) -> Path:
    for candidate in (folder / name, folder):
        if (candidate / marker).is_file():
            return candidate
    raise UserError(
        f"The folder {str(folder)!r} holds no diffusion model: {name}/{marker} is missing. "
        "Give a folder as diffusers' save_pretrained writes it."
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{str(path)!r} is not valid JSON; the model folder is damaged.") from error
    if not isinstance(content, dict):
        raise UserError(f"{str(path)!r} does not hold a configuration; the model folder is damaged.")
    return content


def _check_architecture(config: dict[str, Any], source: str) -> None:
    name = config.get("_class_name", "UNet2DModel")
    if name != "UNet2DModel":
        raise UserError(f"{source!r} holds a {name}; only unconditional UNet2DModel models can be compared.")
    if config.get("num_class_embeds") or config.get("class_embed_type"):
        raise UserError(f"{source!r} is conditioned on classes; only unconditional models can be compared.")
    if (config.get("in_channels", 3), config.get("out_channels", 3)) != (3, 3):
        raise UserError(f"{source!r} works in a latent space or in grey; only models of RGB pictures can be compared.")


class ModelCache:
    """Keeps the last few models in memory, so that a second comparison starts at once."""

    def __init__(self, size: int = 4) -> None:
        self._models: OrderedDict[tuple[str, str], DiffusionModel] = OrderedDict()
        self._size, self._lock = size, threading.Lock()

    def get(self, source: str, compute: Compute) -> DiffusionModel:
        """The model of that source, loaded on first use. Raises UserError as `load_model` does."""
        key = (source, str(compute.device))
        with self._lock:
            if key not in self._models:
                self._models[key] = load_model(source, compute)
            self._models.move_to_end(key)
            while len(self._models) > self._size:
                self._models.popitem(last=False)
            return self._models[key]


cache = ModelCache()

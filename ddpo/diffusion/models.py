"""From a source (bundle folder, local folder, id on the Hub) to a UNet2DModel and its noise schedule."""

from __future__ import annotations

import inspect
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from ddpo.diffusion import schedulers
from ddpo.diffusion.compiled import compile_if_wanted
from ddpo.diffusion.network import no_model
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.step import NoiseSchedule
from ddpo.errors import UserError
from ddpo.hub import downloads, ids
from ddpo.hub.downloads import Progress

LARGEST_SIDE = 1024  # pixels


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


def load_model(source: str, compute: Compute, progress: Progress | None = None) -> DiffusionModel:
    """Load a model in either layout: `unet/` and `scheduler/`, or everything in the root.

    Args:
        source: path of a folder, or "owner/name" or "owner/name@revision" on the Hugging Face Hub.
        compute: where the weights are to live.
        progress: told of bytes there and bytes in all, while weights are downloaded.

    Raises:
        UserError: there is no such folder or model, it cannot be had, it is not an unconditional pixel UNet2DModel, or
            it is damaged.
    """
    folder = fetch(source, progress)
    return DiffusionModel(
        source=source,
        unet=_laid_out(_load_unet(folder, source), compute).eval().requires_grad_(False),
        scheduler_config=_read_json(_part(folder, "scheduler", "scheduler_config.json", source), source),
    )


def fetch(source: str, progress: Progress | None = None) -> Path:
    """Have the files of a model on this machine, without loading it; arguments and errors as in `load_model`.

    Returns:
        The folder, once it has been seen that it can be loaded.
    """
    folder = ids.as_path(source)
    if source and folder.is_dir():
        _check_model(folder, source)
        return folder
    return downloads.download(ids.need(source), lambda folder: _check_model(folder, source), progress)


def _load_unet(folder: Path, source: str) -> UNet2DModel:
    path = _part(folder, "unet", "config.json", source).parent
    try:  # diffusers prefers safetensors, and reads a .bin with weights_only, so that no code in it is run
        unet, loaded = UNet2DModel.from_pretrained(
            path, torch_dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # whatever the loader meets in a damaged file
        raise UserError(f"The weights in {source!r} cannot be read; {_remedy(folder, source)}.") from error
    if loaded["missing_keys"]:
        count = len(loaded["missing_keys"])
        raise UserError(f"The weights in {source!r} lack {count} tensors of the network; {_remedy(folder, source)}.")
    return unet


def _remedy(folder: Path, source: str) -> str:
    what = "the files are damaged or incomplete"
    if not any(folder.rglob("*.safetensors")):
        what += ", or hold code, which is never run"
    if ids.as_path(source).is_dir():
        return what
    return f"{what}; if the Hub's are whole, `hf cache rm model/{source.partition('@')[0]}` has them downloaded anew"


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


def _part(folder: Path, name: str, file: str, source: str) -> Path:
    for candidate in (folder / name / file, folder / file):
        if candidate.is_file():
            return candidate
    raise no_model(source, f"{name}/{file}")


def _read_json(path: Path, source: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} in {source!r} is not valid JSON; the model is damaged.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path.name} in {source!r} does not hold a configuration; the model is damaged.")
    return content


def _check_model(folder: Path, source: str) -> None:
    """Refuse what is no unconditional model of RGB pictures, by its configurations alone."""
    index = folder / "model_index.json"
    parts = _read_json(index, source).keys() if index.is_file() else ()
    if any(part in ("vae", "vqvae", "movq") for part in parts):
        raise UserError(f"{source!r} works in a latent space; only models of RGB pictures can be compared.")
    _check_architecture(_read_json(_part(folder, "unet", "config.json", source), source), source)
    _check_schedule(_read_json(_part(folder, "scheduler", "scheduler_config.json", source), source), source)


def _check_architecture(config: dict[str, Any], source: str) -> None:
    others = config.get("architectures")
    name = config.get("_class_name") or (others[0] if isinstance(others, list) and others else "UNet2DModel")
    if name != "UNet2DModel":
        raise UserError(f"{source!r} holds a {name}; only unconditional UNet2DModel models can be compared.")
    if config.get("num_class_embeds") or config.get("class_embed_type"):
        raise UserError(f"{source!r} is conditioned on classes; only unconditional models can be compared.")
    if (config.get("in_channels", 3), config.get("out_channels", 3)) != (3, 3):
        raise UserError(f"{source!r} works in a latent space or in grey; only models of RGB pictures can be compared.")
    _check_size(config, source)


def _check_size(config: dict[str, Any], source: str) -> None:
    size, channels = config.get("sample_size"), config.get("block_out_channels")
    if not size:
        raise UserError(f"{source!r} does not say how large its pictures are; sample_size is missing in config.json.")
    sides = size if isinstance(size, list) and len(size) == 2 else [size]
    halvings = len(channels) - 1 if isinstance(channels, list) else 0
    if not all(type(side) is int and 0 < side <= LARGEST_SIDE and side % (1 << halvings) == 0 for side in sides):
        raise UserError(
            f"{source!r} gives {size!r} as the sample_size of its pictures, which must be one or two multiples of "
            f"{1 << halvings} up to {LARGEST_SIDE} pixels; its config.json is damaged."
        )


def _check_schedule(config: dict[str, Any], source: str) -> None:
    """Refuse what is no noise schedule of betas, or one that some scheduler would fail on."""
    name = config.get("_class_name", "DDPMScheduler")
    kind = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(kind, type) or "beta_start" not in inspect.signature(kind).parameters:
        raise UserError(
            f"{source!r} was trained with the noise of a {name}; only models with a noise schedule of betas, as DDPM's "
            "is, can be compared."
        )
    try:
        noise = DDPMScheduler.from_config(config)
        own, alphas = noise.config, noise.alphas_cumprod
        for scheduler in schedulers.SCHEDULERS.values():
            schedulers.create_scheduler(scheduler, config, scheduler.min_steps)
        sound = len(alphas) == own.num_train_timesteps and bool(((alphas >= 0) & (alphas <= 1)).all())
        sound &= own.prediction_type in ("epsilon", "sample", "v_prediction")
        sound &= not own.clip_sample or own.clip_sample_range > 0
        sound &= not str(own.variance_type).startswith("learned")  # None in some schedulers' own configs
    except Exception as error:  # whatever diffusers meets in a config
        raise UserError(_unsound(source)) from error
    if not sound:
        raise UserError(_unsound(source))


def _unsound(source: str) -> str:
    return (
        f"scheduler_config.json in {source!r} does not describe a noise schedule that can be sampled with; the model "
        "is damaged, or of another kind."
    )


class ModelCache:
    """Keeps the last few models in memory, so that a second comparison starts at once."""

    def __init__(self, size: int = 4) -> None:
        self._models: OrderedDict[tuple[str, str, int], DiffusionModel] = OrderedDict()
        self._loading: dict[tuple[str, str, int], threading.Lock] = {}
        self._size, self._lock = size, threading.Lock()

    def get(self, source: str, compute: Compute, progress: Progress | None = None) -> DiffusionModel:
        """The model of that source, loaded on first use, and anew once the files of a folder have changed.

        Others are not held up by it. Raises as `load_model` does.
        """
        key = (source, str(compute.device), _last_change(source))
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            with self._lock:
                model = self._models.get(key)
            if model is None:
                model = load_model(source, compute, progress)
                compile_if_wanted(model.unet, compute)
            with self._lock:
                self._models[key] = model
                self._models.move_to_end(key)
                while len(self._models) > self._size:
                    self._loading.pop(self._models.popitem(last=False)[0], None)
        return model


def _last_change(source: str) -> int:
    """When the newest file of a folder was written, as a run that goes on writes its result again; 0 for a Hub id."""
    try:
        folder = ids.as_path(source)
        files = [path for part in ("", "unet", "scheduler") for path in (folder / part).glob("*")]
        return max((path.stat().st_mtime_ns for path in files), default=0)
    except OSError:  # it is being written at this moment
        return 0


cache = ModelCache()

"""From a source (bundle folder, local folder, id on the Hub) to a UNet2DModel and its noise schedule."""

from __future__ import annotations

import errno
import os
import re
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors import SafetensorError

from ddpo.diffusion import footprint
from ddpo.diffusion.bounds import read_config
from ddpo.diffusion.catalogue import ASSETS
from ddpo.diffusion.checks import check_model
from ddpo.diffusion.compiled import compile_if_wanted
from ddpo.diffusion.footprint import Footprint
from ddpo.diffusion.network import part
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.step import NoiseSchedule
from ddpo.errors import UserError
from ddpo.hub import downloads, ids
from ddpo.hub.downloads import Progress


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
        config = scheduler.config
        clip = config.clip_sample_range if config.clip_sample else None
        dynamic = (config.dynamic_thresholding_ratio, config.sample_max_value) if config.thresholding else None
        return NoiseSchedule(scheduler.alphas_cumprod, config.prediction_type, clip, dynamic)


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
    needed = check_model(folder, source)
    footprint.check_weights(needed, compute, source)
    return DiffusionModel(
        source=source,
        unet=_laid_out(_load_unet(folder, source, needed), compute).eval().requires_grad_(False),
        scheduler_config=read_config(part(folder, "scheduler", "scheduler_config.json", source), source),
    )


def fetch(source: str, progress: Progress | None = None) -> Path:
    """Have the files of a model on this machine, without loading it; arguments and errors as in `load_model`.

    Returns:
        The folder, once it has been seen that it can be loaded.
    """
    if ids.is_folder(source):
        folder = ids.as_path(source)
        check_model(folder, source)
        return folder
    return downloads.download(ids.need(source), lambda folder: check_model(folder, source).largest_file, progress)


def _load_unet(folder: Path, source: str, needed: Footprint) -> UNet2DModel:
    path = part(folder, "unet", "config.json", source).parent
    if any(_unpacked(file) > needed.largest_file for file in path.glob("diffusion_pytorch_model*")):
        raise UserError(f"The weights in {source!r} are larger than its network; {_remedy(folder, source)}.")
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


def _unpacked(file: Path) -> int:
    """Bytes that a file of weights takes once it is read; a .bin is a zip, which a small file may fill memory with."""
    if file.suffix == ".bin" and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    return file.stat().st_size


def _remedy(folder: Path, source: str) -> str:
    what = "the files are damaged or incomplete"
    if not any(folder.rglob("*.safetensors")):
        what += ", or hold code, which is never run"
    if folder.is_relative_to(ASSETS):
        return f"{what}; they come with the app, so install it again, or have `git lfs pull` fetch them"
    if ids.is_folder(source):
        return what
    return f"{what}; if the Hub's are whole, `hf cache rm model/{source.partition('@')[0]}` has them downloaded anew"


def _laid_out(unet: UNet2DModel, compute: Compute) -> UNet2DModel:
    """On the device; on a CPU with channels last, in which small convolutions are a fifth quicker on one core."""
    layout = torch.channels_last if compute.device.type == "cpu" else torch.preserve_format
    return unet.to(compute.device, memory_format=layout)


def save_model(unet: UNet2DModel, scheduler_config: dict[str, Any], folder: Path, dtype: torch.dtype) -> None:
    """Write a folder that `DDPMPipeline.from_pretrained` loads; safetensors in the given dtype.

    Raises:
        OSError: the disk refuses.
    """
    # Without the private entries, of which one is the folder that the model was loaded from.
    copy = UNet2DModel.from_config({name: value for name, value in unet.config.items() if not name.startswith("_")})
    weights = {name: weight.detach().to("cpu", dtype) for name, weight in unet.state_dict().items()}
    copy.load_state_dict(weights, assign=True)
    scheduler = DDPMScheduler.from_config(scheduler_config)
    try:
        DDPMPipeline(unet=copy, scheduler=scheduler).save_pretrained(folder, safe_serialization=True)
    except SafetensorError as error:  # which hides what the disk said
        raise os_error(error) from error


def os_error(error: Exception) -> OSError:
    """What the disk said, by the number that safetensors quotes: "... (os error 28)"."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code))


@dataclass
class _Loading:
    """A model that is being loaded."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0


class ModelCache:
    """Keeps the last few models in memory, so that a second comparison starts at once."""

    def __init__(self, size: int = 4) -> None:
        self._models: OrderedDict[tuple[str, str, int], DiffusionModel] = OrderedDict()
        self._loading: dict[tuple[str, str, int], _Loading] = {}  # those that somebody waits for at this moment
        self._size, self._lock = size, threading.Lock()

    def get(self, source: str, compute: Compute, progress: Progress | None = None) -> DiffusionModel:
        """The model of that source, loaded on first use, and anew once the files of a folder have changed.

        Others are not held up by it. Raises as `load_model` does.
        """
        key = (source, str(compute.device), _last_change(source))
        with self._alone(key):
            with self._lock:
                model = self._models.get(key)
            if model is None:
                model = load_model(source, compute, progress)
                compile_if_wanted(model.unet, compute)
            with self._lock:
                self._models[key] = model
                self._models.move_to_end(key)
                while len(self._models) > self._size:
                    self._models.popitem(last=False)
        return model

    @contextmanager
    def _alone(self, key: tuple[str, str, int]) -> Iterator[None]:
        """Within the block nobody else loads that model; nothing is kept of one that could not be loaded."""
        with self._lock:
            loading = self._loading.setdefault(key, _Loading())
            loading.waiting += 1
        try:
            with loading.lock:
                yield
        finally:
            with self._lock:
                loading.waiting -= 1
                if loading.waiting == 0:
                    del self._loading[key]


def _last_change(source: str) -> int:
    """When the newest file of a folder was written, as a run that goes on writes its result again; 0 for a Hub id."""
    try:
        folder = ids.as_path(source)
        files = [path for part in ("", "unet", "scheduler") for path in (folder / part).glob("*")]
        return max((path.stat().st_mtime_ns for path in files), default=0)
    except OSError:  # it is being written at this moment
        return 0


cache = ModelCache()

"""The weights of some epochs of a run, kept in half precision, so that any of them can be compared later.

A run keeps none unless `keep_every` asks for them. Torch is imported where something is written only.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpo.common.files import storage_error
from ddpo.runs.folder import Run
from ddpo.training.config import TrainConfig

if TYPE_CHECKING:
    from diffusers import UNet2DModel

FOLDER = "epochs"
MOST = 20  # epochs of a run
MOST_BYTES = 2e9  # of a run
BYTES = 2  # of a weight


def stride(config: TrainConfig, megabytes: float = 0.0) -> int:
    """Epochs between two that are kept: keep_every, or twice, four times, ... that, so that the bounds hold; 0: none.

    Args:
        config: of the run.
        megabytes: of the weights of an epoch.
    """
    if config.keep_every == 0:
        return 0
    most = max(1, min(MOST, int(MOST_BYTES / (megabytes * 1e6)) if megabytes else MOST))
    found = config.keep_every
    while config.epochs // found > most:
        found *= 2
    return found


def kept(run: Run) -> list[int]:
    """The epochs of which there are weights, in order."""
    indices = (run.folder / FOLDER).glob("*/model_index.json")
    return sorted(int(path.parent.name) for path in indices if path.parent.name.isdecimal())


def folder_of(run: Run, epoch: int) -> Path:
    """Where the model of an epoch is, as a diffusers pipeline."""
    return run.folder / FOLDER / f"{epoch:05d}"


def keep(run: Run, unet: UNet2DModel, scheduler_config: dict[str, Any], epoch: int) -> None:
    """Keep the weights of an epoch, if it is one of those that are kept.

    Raises:
        UserError: the disk refuses.
    """
    if run.spec.config.keep_every == 0:
        return
    import torch

    from ddpo.diffusion.models import save_model
    from ddpo.runs import limits
    from ddpo.runs.records import new_folder

    megabytes = sum(weight.numel() for weight in unet.state_dict().values()) * BYTES / 1e6
    if epoch % stride(run.spec.config, megabytes):
        return
    target = folder_of(run, epoch)
    try:
        limits.check_disk(run.folder, unet)
        with new_folder(run, target) as folder:
            save_model(unet, scheduler_config, folder, torch.float16)
    except OSError as error:
        with suppress(OSError):
            shutil.rmtree(target)
        raise storage_error(error, run.folder, f"The model of epoch {epoch}") from error

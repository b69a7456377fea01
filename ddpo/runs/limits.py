"""Limits of the machine that the process which trains looks at: its memory, and the disk of its run."""

from __future__ import annotations

import errno
import math
import os
import shutil
from pathlib import Path

from torch import nn

from ddpo.common import memory
from ddpo.diffusion import footprint
from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.precision import Compute
from ddpo.runs import room
from ddpo.runs.folder import RunSpec


def check_memory(spec: RunSpec, model: DiffusionModel, compute: Compute) -> None:
    """Refuse a run that would not fit the memory of a CPU, before hours have gone into it.

    Raises:
        UserError: it would not; the sentence says how much is needed.
    """
    if compute.device.type != "cpu":
        return
    network = footprint.check_network(model.unet.config, spec.base)
    picture = network.training * compute.dtype.itemsize / 4
    needed = room.bytes_needed(spec.config, network.weights, picture, math.prod(model.picture_shape))
    memory.check_room(needed, "This run", room.REMEDY)


def check_disk(folder: Path, unet: nn.Module) -> None:
    """Raises OSError where the weights would not fit; a writer of theirs may map the file, and be killed for it."""
    size = sum(weight.numel() * 4 for weight in unet.state_dict().values())
    disk = shutil.disk_usage(folder)
    if disk.total and disk.free < size:  # a mounted bucket has no size, so it says 0 of 0
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

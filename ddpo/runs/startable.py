"""What of a run can be refused before its folder is made. Torch is not imported here."""

from __future__ import annotations

from pathlib import Path

from ddpo.diffusion import bounds
from ddpo.diffusion.network import find_part
from ddpo.errors import UserError
from ddpo.hub import downloads, ids
from ddpo.hub.downloads import WEIGHTS
from ddpo.rewards.weights import is_offline
from ddpo.runs import room
from ddpo.runs.folder import RunSpec


def check_startable(spec: RunSpec) -> None:
    """Refuse a run that would fail as soon as its model is loaded, as far as that can be told without loading it.

    Raises:
        UserError: the base is not here and cannot be had, lacks its weights or its schedule, knows fewer timesteps than
            are asked for; or the memory is not enough.
    """
    if ids.is_folder(spec.base):
        _check_folder(ids.as_path(spec.base), spec)
    else:
        model = ids.need(spec.base)
        if is_offline() and not downloads.is_cached(model):
            raise UserError(
                f"{spec.base!r} is not on this machine, or not all of it, and HF_HUB_OFFLINE forbids downloading it; "
                "unset that, or choose another base."
            )
    room.check_room(spec)


def _check_folder(folder: Path, spec: RunSpec) -> None:
    name = ids.short_name(spec.base)
    if find_part(folder, "unet", *WEIGHTS) is None:
        raise UserError(f"{name!r} holds no weights that can be loaded: {' or '.join(WEIGHTS)} is missing.")
    path = find_part(folder, "scheduler", "scheduler_config.json")
    if path is None:
        raise UserError(f"{name!r} holds no noise schedule: scheduler/scheduler_config.json is missing.")
    config = bounds.read_config(path, name)
    bounds.check_schedule(config, name)
    timesteps = config.get("num_train_timesteps", 1000)
    if spec.config.sampling_steps > timesteps:
        raise UserError(
            f"sampling_steps ({spec.config.sampling_steps}) must be at most {timesteps}, the timesteps of this model."
        )

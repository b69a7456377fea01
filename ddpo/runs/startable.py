"""What of a run can be refused before its folder is made. Torch is not imported here."""

from __future__ import annotations

from pathlib import Path

from ddpo.diffusion import bounds
from ddpo.diffusion.network import find_part
from ddpo.errors import UserError
from ddpo.hub import client, downloads, ids, troubles
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
        check_at_hand(spec.base, client.SECONDS_TO_ANSWER)
    room.check_room(spec)


def check_at_hand(base: str, seconds: float = client.SECONDS_TO_PROBE) -> None:
    """Refuse a base that is on the Hub, not on this machine, and cannot be downloaded now.

    Args:
        base: folder or Hub id.
        seconds: that the Hub has to answer.

    Raises:
        UserError: in the words that a comparison has for it.
    """
    if ids.is_folder(base):
        return
    model = ids.need(base)
    if not downloads.is_cached(model) and not client.is_reachable(seconds):
        offline = " HF_HUB_OFFLINE forbids downloading it." if is_offline() else ""
        raise UserError(f"{troubles.not_to_be_had([base])}{offline}")


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

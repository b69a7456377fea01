"""What decides pictures and scores, as keys: whatever differs in one of these facts is drawn and scored anew."""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpo import rewards
from ddpo.common.files import json_bytes, sha256
from ddpo.rewards import Reward, RewardSpec

if TYPE_CHECKING:
    from ddpo.diffusion.models import DiffusionModel
    from ddpo.diffusion.precision import Compute
    from ddpo.evaluation.plan import Point

DRAWING = 1  # raised with every change of `diffusion.sampling` that changes pictures
Facts = dict[str, Any]


def digest(facts: Facts) -> str:
    """24 hexadecimal digits of the SHA-256 of facts, whatever their order."""
    return hashlib.sha256(json_bytes(dict(sorted(facts.items())))).hexdigest()[:24]


def fingerprint(model: DiffusionModel) -> str:
    """Of everything in a model that decides its pictures: weights, network and noise schedule."""
    found = hashlib.sha256()
    for name, weight in sorted(model.unet.state_dict().items()):
        found.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        found.update(weight.detach().cpu().contiguous().numpy().tobytes())
    for config in (dict(model.unet.config), model.scheduler_config):
        known = {name: value for name, value in config.items() if not name.startswith("_")}
        found.update(json_bytes(dict(sorted(known.items()))))
    return found.hexdigest()[:24]


def picture_facts(weights: str, shape: tuple[int, int, int], point: Point, compute: Compute) -> Facts:
    """What decides the pictures of a cell, but for their seeds.

    Args:
        weights: `fingerprint` of the model.
        shape: (C, H, W) of a picture.
        point: scheduler, steps and eta.
        compute: device and dtype.
    """
    return {
        "drawing": DRAWING,
        "weights": weights,
        "shape": list(shape),
        "scheduler": point.scheduler.class_name,
        "options": dict(sorted(point.scheduler.options.items())),
        "steps": point.steps,
        "eta": point.eta,
        "compute": str(compute),
        **versions(),
    }


@cache
def versions() -> dict[str, str]:
    """Of the libraries that decide pictures and scores."""
    return {name: version(name) for name in ("torch", "diffusers")}


def scorer_key(spec: RewardSpec, reward: Reward, compute: Compute) -> str:
    """What decides the score of a picture.

    Args:
        spec: of the scorer; its name holds its sentence, where it takes one.
        reward: the scorer that was built; the file that it comes from counts, for a function of somebody's own.
        compute: device and dtype.
    """
    files = [[file.repo, file.filename, file.revision, file.sha256] for file in spec.files]
    return digest(
        {"scorer": spec.name, "files": files, "code": [_our_code(), _source(reward)], "compute": str(compute)}
    )


@cache
def _our_code() -> str:
    """Of all scorers' code together: a change of one scores everything anew, which takes seconds."""
    folder = Path(rewards.__file__).parent
    return digest({path.name: sha256(path) for path in sorted(folder.glob("*.py"))})


def _source(reward: Reward) -> str | None:
    """Of the file that a scorer was defined in; None where that has none."""
    try:
        path = inspect.getsourcefile(reward if inspect.isroutine(reward) else type(reward))
        return sha256(Path(path)) if path else None
    except (TypeError, OSError):
        return None

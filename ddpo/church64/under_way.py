"""Where the pretraining stands, kept in the repository as a model: another machine goes on from there.

A checkpoint has the averages and the optimizer's state as well, and is ten times as large.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel

from ddpo.church64.figures import read_figures, write_figures
from ddpo.church64.pretrain import Pretraining, fingerprint
from ddpo.church64.release import training_facts
from ddpo.diffusion.catalogue import ASSETS
from ddpo.diffusion.models import load_model, save_model
from ddpo.diffusion.precision import Compute

FOLDER = ASSETS / "church-64-under-way"  # no part of the package
FACTS = "training.json"


def keep(training: Pretraining, folder: Path = FOLDER) -> None:
    """Put the longest average of a training in the place of what is kept, with the trainings that led there."""
    network = training.averages.networks[-1]
    save_model(network, dict(training.schedule.config), folder, torch.float16)
    write_figures(
        folder / FACTS,
        {**training_facts(training), "kept": fingerprint(network), "before": led_to(training.began_with, folder)},
    )


def led_to(began_with: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The facts of the trainings that led to the weights which one began with, the first of them first."""
    if not (folder / FACTS).exists():
        return []
    kept = read_figures(folder / FACTS)
    before: list[dict[str, Any]] = kept.pop("before")
    if began_with == kept["kept"]:
        return [*before, kept]
    return before if began_with == kept["began_with"] else []  # of the same training, kept earlier


def start_weights(compute: Compute, folder: Path = FOLDER) -> UNet2DModel | None:
    """What is kept, as a network to begin with; None where nothing is."""
    return load_model(str(folder), compute).unet if (folder / FACTS).exists() else None

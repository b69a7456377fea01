"""From a pretraining that may still go on to the folder of a finished base model.

A branch of the training brings its learning rate to zero. Of its weights and their averages, the network whose pictures
come closest to the drawings is saved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ddpo.church64.fidelity import FidelityMeter, as_json
from ddpo.church64.figures import read_figures, write_figures
from ddpo.church64.pretrain import Pretraining, PretrainProgress
from ddpo.diffusion.models import DiffusionModel, save_model
from ddpo.diffusion.pictures import to_uint8
from ddpo.diffusion.sampling import sample_pictures

SEEDS = range(30_000, 30_128)  # what the candidates are chosen by; the measured seeds are others
STEPS = 25  # of DDIM

Follow = Callable[[Pretraining, Iterator[PretrainProgress]], None]


def open_branch(training: Pretraining) -> Pretraining:
    """The branch that a kill left unfinished, else a new one from where the training stands."""
    for folder in sorted(training.folder.glob("branch-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        if not (folder / "chosen.json").exists():
            return Pretraining(training.config, training.compute, folder, pool=training.pool)
    return training.branch()


def choose(branch: Pretraining, meter: FidelityMeter) -> dict[str, Any]:
    """Measure every candidate of a finished branch, and save the best to `model/` in its folder.

    Returns:
        What `chosen.json` beside it says: the candidate, the figures of all, and how the training went.
    """
    figures = {}
    candidates = branch.candidates()
    for name, network in candidates.items():
        model = DiffusionModel(name, network, dict(branch.schedule.config))
        pictures = to_uint8(sample_pictures(model, list(SEEDS), "ddim", STEPS, branch.compute))
        figures[name] = as_json(meter(pictures))
    best = min(figures, key=lambda name: figures[name]["distance"])
    save_model(candidates[best], dict(branch.schedule.config), branch.folder / "model", torch.float16)
    facts = {"chosen": best, "candidates": figures, **training_facts(branch)}
    write_figures(branch.folder / "chosen.json", facts)
    return facts


def training_facts(branch: Pretraining) -> dict[str, Any]:
    """How long a branch and the training before it took; processor time as their logs have it."""
    main, own = (_seconds(folder / "progress.jsonl") for folder in (branch.folder.parent, branch.folder))
    spent = sum(seconds for step, seconds in main if step <= (branch.branched_at or 0)) + sum(s for _, s in own)
    return {
        "steps": branch.step,
        "pictures": branch.step * branch.config.batch_size,
        "drawings": branch.config.first_scenes + branch.config.new_scenes * (branch.branched_at or branch.step),
        "processor_hours": round(spent / 3600, 2),
        "compute": str(branch.compute),
        "began_with": branch.began_with,
        "history": branch.history,
    }


def _seconds(log: Path) -> list[tuple[int, float]]:
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [(line["step"], line["cpu_seconds"]) for line in lines]


def newest_release(work: Path) -> Path:
    """The folder of the newest finished branch."""
    finished = sorted(work.glob("branch-*/chosen.json"), key=lambda path: read_figures(path)["steps"])
    return finished[-1].parent

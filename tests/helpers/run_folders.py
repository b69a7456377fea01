"""Run folders as the trainer leaves them, made in a moment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from ddpo.runs.store import Run, RunSpec, create_run, open_run
from ddpo.training.recipes import get_recipe, make_config
from tests.helpers.here import ROOT

CHURCH = ROOT / "assets" / "church-64" / "base"
SPEC = RunSpec("church-64", "some/base", "photographic", "quick", get_recipe("quick").config)

# Settings of the shortest run that goes through everything.
SHORTEST: dict[str, Any] = {
    "epochs": 1, "batches_per_epoch": 1, "batch_size": 2, "accumulation": 1, "sampling_steps": 3, "trained_steps": 1,
    "window": "random", "group_size": 1, "inner_epochs": 1, "kl_weight": 0.0, "diversity_floor": 0.0,
}  # fmt: skip


def make_run(
    root: Path,
    state: str,
    done: int,
    epochs: int = 4,
    reward: str = "photographic",
    base: Path | None = None,
    result: Path | None = None,
    **status: Any,
) -> Run:
    """A run with some epochs done.

    Args:
        root: folder of the runs.
        state: what its status says.
        done: epochs that are done; the reward rises by 0.1 in each.
        epochs: all of its epochs.
        reward: name of the reward.
        base: folder of its base in place of church-64's.
        result: model folder that is copied as its result.
        **status: more of the status.
    """
    spec = RunSpec(
        None if base else "church-64", str(base or CHURCH), reward, "quick", make_config({"epochs": epochs}, "quick")
    )
    run = create_run(root, spec)
    (run.folder / "samples").mkdir()
    for epoch in range(done + 1):
        draw_grid(run.folder / "samples" / f"{epoch:05d}.png", 60 * epoch % 256)
    for epoch in range(1, done + 1):
        run.append_metrics(epoch_line(epoch, epochs))
    run.write_status(
        state=state, epoch=done, epochs=epochs, step=9 * done, steps=9 * epochs, seconds=10.0 * done,
        seconds_left=10.0 * (epochs - done), **status,
    )  # fmt: skip
    if result is not None:
        shutil.copytree(result, run.result)
    return run


def many_runs(root: Path, count: int) -> list[Run]:
    """Runs of all kinds, copied from a few, so that they are there at once."""
    kinds = [("finished", 4, "photographic"), ("stopped", 2, "colourfulness"), ("failed", 1, "photographic")]
    runs = [make_run(root, state, done, reward=reward) for state, done, reward in kinds]
    for number in range(count - len(runs)):
        source = runs[number % len(kinds)]
        folder = root / f"20260101-{number:06d}-{source.spec.reward}-copy"
        shutil.copytree(source.folder, folder)
        facts = (folder / "run.json").read_text().replace(source.id, folder.name)
        created = f"2026-01-01T{number // 60:02d}:{number % 60:02d}:00+00:00"
        (folder / "run.json").write_text(facts.replace(source.created, created))
        runs.append(open_run(root, folder.name))
    return runs


def epoch_line(epoch: int, epochs: int) -> dict[str, Any]:
    """The metrics of an epoch of a healthy run."""
    mean = 4.0 + 0.1 * epoch
    return {
        "kind": "epoch", "step": 9 * epoch, "epoch": epoch, "epochs": epochs, "reward_mean": mean, "reward_std": 0.9,
        "reward_quantiles": [mean - 1, mean, mean + 1], "kl": 0.0002 * epoch, "clip_fraction": 0.25,
        "first_ratio_deviation": 0.0, "grad_norm": 0.02, "diversity": 0.97, "learning_rate": 1.5e-4,
        "samples": 64 * epoch, "seconds": 10.0 * epoch, "samples_per_second": 6.4,
    }  # fmt: skip


def draw_grid(path: Path, shade: int, count: int = 8, side: int = 16, gap: int = 2) -> None:
    """A row of pictures, each in a colour of its own, with white between them."""
    grid = Image.new("RGB", (count * (side + gap) - gap, side), "white")
    for index in range(count):
        grid.paste((30 * index, shade, 128), (index * (side + gap), 0, index * (side + gap) + side, side))
    grid.save(path)

"""Weights of epochs that a run keeps: which, of what size, and as pairs to compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from ddpo.errors import UserError
from ddpo.runs import epoch_weights, fixed_seeds, worker
from ddpo.runs.pairs import epoch_pairs, get_pair, run_pairs
from ddpo.runs.store import RunSpec, create_run
from ddpo.training.config import TrainConfig
from ddpo.training.recipes import make_config
from tests.helpers.run_folders import SHORTEST

CONFIG = make_config({**SHORTEST, "epochs": 3, "learning_rate": 3e-3, "ema_decay": 0.0})


@pytest.mark.parametrize(
    ("every", "epochs", "megabytes", "found"),
    [(0, 100, 1, 0), (1, 20, 1, 1), (1, 21, 1, 2), (5, 100, 1, 5), (1, 1000, 1, 64), (1, 20, 500, 8), (1, 9, 9000, 8)],
)
def test_weights_are_kept_more_rarely_where_that_would_be_too_many(
    every: int, epochs: int, megabytes: float, found: int
) -> None:
    config = replace(TrainConfig(), keep_every=every, epochs=epochs)
    assert epoch_weights.stride(config, megabytes) == found


def test_kept_epochs_are_pairs_and_the_last_is_the_result(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDPO_PRECISION", "float32")
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    monkeypatch.setattr(fixed_seeds, "STEPS", 1)
    plain, keeping = (
        create_run(
            tmp_path, RunSpec(None, str(tiny_folder), "colourfulness", "quick", replace(CONFIG, keep_every=every))
        )
        for every in (0, 1)
    )
    for run in (plain, keeping):
        worker.carry_out(run)
    assert epoch_weights.kept(plain) == [] and not (plain.folder / "epochs").exists()
    assert epoch_weights.kept(keeping) == [1, 2, 3]
    files = {path: path / "unet" / "diffusion_pytorch_model.safetensors" for path in keeping.folder.glob("epochs/*")}
    assert all(weight.dtype.itemsize == 2 for path in files.values() for weight in load_file(path).values())
    result = load_file(keeping.result / "unet" / "diffusion_pytorch_model.safetensors")
    last = load_file(files[epoch_weights.folder_of(keeping, 3)])
    assert all(bool((weight.half() == last[name]).all()) for name, weight in result.items())
    pair = get_pair(f"run:{keeping.id}@2")
    assert pair.tuned == str(epoch_weights.folder_of(keeping, 2)) and pair.title.endswith(", after epoch 2")
    assert pair.sample_size == 16 and len(run_pairs()) == 2
    assert [found.name for found in epoch_pairs()] == [f"run:{keeping.id}@{epoch}" for epoch in (3, 2, 1)]
    for wrong in ("7", "", "02", "../2"):
        with pytest.raises(UserError, match="has no weights of epoch"):
            get_pair(f"run:{keeping.id}@{wrong}")
    with pytest.raises(UserError, match="keep_every has a run keep them"):
        get_pair(f"run:{plain.id}@1")

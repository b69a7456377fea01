"""The way from the catalogue to an epoch of DDPO, with networks of church-256's layout that are small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import church256, gpu_church256
from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import Compute
from ddpo.runs.pairs import get_pair
from tests.helpers.hub_server import use

SMALL: dict[str, Any] = {"channels": (8, 8, 16, 16, 32, 32), "size": 64, "groups": 8}


def test_a_pair_of_the_hub_is_downloaded_compared_and_finetuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = get_pair(church256.PAIR)
    with church256.served_pair(tmp_path / "served", **SMALL) as (hub, parameters):
        use(hub, tmp_path / "cache", monkeypatch)
        assert pair.missing == [pair.base, pair.tuned]
        results = church256.measure()
    assert pair.missing == [] and 100_000 < parameters < 1_000_000
    assert {path.name for path in (tmp_path / "served" / pair.base).iterdir()} == {
        "config.json", "model_index.json", "scheduler_config.json", "diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    assert results["picture_shape"] == [3, 64, 64]
    compared = results["compare"]
    assert len(compared["base_scores"]) == len(compared["tuned_scores"]) == 2
    assert compared["base_scores"] != compared["tuned_scores"]
    assert results["epoch"]["grad_norm"] > 0


def test_the_measurements_for_a_gpu_run_through(tmp_path: Path, compute: Compute) -> None:
    church256.write_model(tmp_path, 0, **SMALL)
    model = load_model(str(tmp_path), compute)
    for scheduler, steps in (("ddpm", 3), ("ddim", 3), ("pndm", 5)):
        assert gpu_church256.sampling(model, compute, scheduler, steps, batch=2)["seconds_per_image"] > 0
    trained = gpu_church256.epoch(model, compute, batches_per_epoch=1, batch_size=4, accumulation=1, sampling_steps=3)
    assert trained["samples"] == 4 and trained["seconds"] > 0


def test_without_a_gpu_the_measurement_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"^There is no CUDA GPU here, so nothing was measured\.$"):
        gpu_church256.main()


def test_the_committed_figures_are_of_the_full_size_and_fit_12_gb() -> None:
    results = json.loads(church256.RESULTS.read_text(encoding="utf-8"))
    assert results["parameters"] == 113_673_219 and results["picture_shape"] == [3, 256, 256]
    assert results["epoch"]["peak_memory_mb"] < 12_000
    cost = get_pair(church256.PAIR).cost
    assert cost is not None and cost.memory_megabytes == pytest.approx(results["compare"]["peak_memory_mb"], rel=0.05)
    assert cost.download_megabytes == pytest.approx(2 * 4 * results["parameters"] / 1e6, rel=0.01)
    assert cost.seconds_per_image == pytest.approx(50 * results["compare"]["seconds_per_evaluation"], rel=0.01)

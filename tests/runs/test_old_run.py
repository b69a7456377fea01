"""A run folder of before the packages (commit ce8bb20, in tests/data/old-run.zip) is opened, compared and resumed.

That version trained the run for one of its two epochs, and then, in a copy, to its end: `finished.safetensors` has the
weights that it came to. In the archive, the base stands as `BASE`, as a run names it by its path.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ddpo.cli.main import main
from ddpo.comparison.compare import compare
from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.settings import ComparisonSettings
from ddpo.runs.store import Run, list_runs, open_run
from ddpo.ui.train import actions
from tests.helpers.here import ROOT

ARCHIVE = ROOT / "tests" / "data" / "old-run.zip"


@pytest.fixture
def old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run where the program looks for runs, with its base beside it."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    (path,) = (tmp_path / "runs").glob("*/run.json")
    path.write_text(path.read_text().replace('"BASE"', json.dumps(str(tmp_path / "base"))))
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DDPO_PRECISION", "float32")
    return open_run(tmp_path / "runs", path.parent.name)


def test_an_old_run_is_listed_and_shown(old_run: Run) -> None:
    assert list_runs(old_run.root) == [old_run]
    status = old_run.status()
    assert (status.state, status.epoch, status.epochs) == ("stopped", 1, 2) and status.seconds > 0
    (epoch,) = old_run.epochs()
    assert epoch.epoch == 1 and epoch.samples == 8 and epoch.first_ratio_deviation == 0
    facts = actions.facts(old_run, history=True)
    assert facts["result"] == f"run:{old_run.id}" and len(facts["history"]) == 1
    assert [number for number, _ in old_run.samples()] == [0, 1]
    assert old_run.result_facts().statistics is not None


def test_an_old_run_is_compared_with_its_base(old_run: Run) -> None:
    settings = ComparisonSettings(f"run:{old_run.id}", steps=2, samples=2, scorer="colourfulness")
    *_, result = compare(settings)
    assert isinstance(result, ComparisonResult) and len(result.base_scores) == len(result.tuned_scores) == 2
    assert result.base_scores != result.tuned_scores


def test_an_old_run_goes_on_to_the_weights_that_its_own_version_came_to(old_run: Run, tmp_path: Path) -> None:
    assert main(["resume", old_run.id]) == 0
    status = old_run.status()
    assert (status.state, status.epoch) == ("finished", 2) and status.notice is None
    assert [epoch.epoch for epoch in old_run.epochs()] == [1, 2]
    theirs = load_file(tmp_path / "finished.safetensors")
    ours = load_file(old_run.result / "unet" / "diffusion_pytorch_model.safetensors")
    begun = load_file(tmp_path / "base" / "unet" / "diffusion_pytorch_model.safetensors")
    assert ours.keys() == theirs.keys()
    assert (
        max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5
    )  # other processors round otherwise
    assert not any(torch.equal(ours[name], begun[name]) for name in ("conv_in.weight", "conv_out.weight"))

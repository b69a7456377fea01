"""A run whose base was made anew: everything of it still opens, says so, and is not trained further."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler

from ddpo.cli.main import main
from ddpo.common.files import read_json, write_json
from ddpo.diffusion.models import save_model
from ddpo.errors import UserError
from ddpo.runs.base_weights import UNRECORDED, fingerprint, other_base
from ddpo.runs.pairs import get_pair
from ddpo.runs.store import Run, open_run, start_process
from ddpo.runs.worker import carry_out
from ddpo.ui.train.actions import look_at
from ddpo.ui.train.views import status_card
from tests.helpers.models import make_unet
from tests.helpers.run_folders import CHURCH, make_run


@pytest.fixture
def run(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A stopped run with a result, on a base of its own."""
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    return make_run(tmp_path / "runs", "stopped", 2, base=base, result=base)


def make_base_anew(run: Run) -> None:
    schedule = dict(DDPMScheduler(prediction_type="v_prediction").config)
    save_model(make_unet(seed=1), schedule, Path(run.spec.base), torch.float32)


def test_a_run_with_the_base_that_it_began_from_says_nothing(run: Run) -> None:
    assert run.base_weights == fingerprint(run.spec.base)
    assert open_run(run.root, run.id).base_weights == run.base_weights
    assert other_base(run) is None and "another base" not in get_pair(f"run:{run.id}").description


def test_a_run_of_another_base_opens_everywhere_and_says_so(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    make_base_anew(run)
    now = fingerprint(run.spec.base)
    sentence = other_base(open_run(run.root, run.id))
    assert sentence is not None and str(run.base_weights) in sentence and str(now) in sentence
    assert sentence in get_pair(f"run:{run.id}").description
    assert main(["status", run.id, "--root", str(run.root)]) == 0
    assert sentence in capsys.readouterr().out
    seen = look_at(run)
    assert "belongs to another base" in status_card(seen) and seen.has_result


def test_a_run_of_another_base_is_not_trained_further(run: Run) -> None:
    make_base_anew(run)
    before = run.stored_status()
    with pytest.raises(UserError, match=r"another base.*start a new run"):
        start_process(run)
    assert run.stored_status() == before
    with pytest.raises(UserError, match=r"another base.*start a new run"):
        carry_out(run)
    assert run.has_result()


def test_a_run_from_before_weights_were_put_down_belongs_to_the_first_bundled_base(tmp_path: Path) -> None:
    run = make_run(tmp_path, "stopped", 2)
    facts = read_json(run.folder / "run.json")
    del facts["base_weights"]
    write_json(run.folder / "run.json", facts)
    old = open_run(tmp_path, run.id)
    assert old.base_weights is None
    assert (other_base(old) is None) == (fingerprint(str(CHURCH)) == UNRECORDED)
    assert fingerprint("google/ddpm-church-256") is None

"""Memory that is not enough while it trains: a sentence, and what was done before is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ddpo.diffusion.models import load_model
from ddpo.errors import UserError
from ddpo.runs import worker
from ddpo.runs.store import Run, RunSpec, create_run
from ddpo.training.recipes import make_config
from tests.helpers.run_folders import SHORTEST
from tests.helpers.trainer_command import assert_same_weights


def test_a_run_that_meets_too_little_memory_says_so_and_goes_on_to_the_same_weights(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a pass that keeps what gradients need: torch itself refuses to allocate."""

    def make(root: Path) -> Run:
        return create_run(
            root, RunSpec(None, str(tiny_folder), "colourfulness", "quick", make_config({**SHORTEST, "epochs": 2}))
        )

    whole, run = make(tmp_path / "whole"), make(tmp_path / "short")
    assert worker.carry_out(whole) == "finished"
    passes = 0

    def short(unet: torch.nn.Module, values: Any) -> None:
        nonlocal passes
        passes += torch.is_grad_enabled()
        if passes == 2:
            torch.empty(1 << 50)

    def load(*arguments: Any) -> Any:
        model = load_model(*arguments)
        model.unet.register_forward_pre_hook(short)
        return model

    with monkeypatch.context() as patch:
        patch.setattr(worker, "load_model", load)
        with pytest.raises(UserError, match=r"^The memory is not enough; raise accumulation.*\.$") as caught:
            worker.carry_out(run)
    status, steps = run.status(), [int(path.stem) for path in (run.folder / "checkpoints").glob("*.pt")]
    assert (status.state, status.error) == ("failed", str(caught.value)) and not run.has_result()
    assert max(steps) > 1 and re.fullmatch(r"[\w .,;]+", str(status.error))
    assert worker.carry_out(run) == "finished"
    assert_same_weights(run, whole)

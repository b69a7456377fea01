"""A run meets a full disk at each of its writes in turn, says so, and goes on to the same weights with room.

By default at the first write of each kind, and at every single one with `--hypothesis-profile=long`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from ddpo.runs.store import RunSpec
from ddpo.training.recipes import make_config
from tests.helpers.full_disk import meet_at_writes
from tests.helpers.small_disk import small_disk

TINY = {
    "epochs": 1, "batches_per_epoch": 1, "batch_size": 2, "accumulation": 1, "sampling_steps": 3, "trained_steps": 1,
    "window": "random", "group_size": 1, "inner_epochs": 1, "kl_weight": 0.0, "diversity_floor": 0.0,
}  # fmt: skip


def test_a_disk_that_is_full_at_any_write_costs_no_run(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDPO_TEST_OUTPUTS", str(tmp_path))
    with small_disk(tmp_path / "disk", "4m") as disk:
        spec = RunSpec(None, str(tiny_folder), "colourfulness", "quick", make_config(TINY))
        whole, *others = meet_at_writes(disk, spec, every=settings().max_examples > 100)
    assert whole.state == "finished" and len(whole.writes) > 30 and len(others) > 20
    for met in others:
        assert met.weights == whole.weights and not met.left, met
        if met.said:
            assert "is full; make room there." in met.said, met
            assert met.state == "" or (met.state == "failed" and met.error == met.said), met
        else:  # what was left to write is not needed, or was written over
            assert met.state == "finished" and not met.error, met
    told = Counter(" ".join(met.said.split()[:3]) for met in others)
    assert told["The run could"] and told["The lock of"] and told["The checkpoint of"] and told["The finetuned model"]

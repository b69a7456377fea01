"""A run meets a full disk at each of its writes in turn, says so, and goes on to the same weights with room.

By default at the first write of each kind, and at every single one with `--hypothesis-profile=long`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import settings

from ddpo.runs.store import RunSpec
from ddpo.training.recipes import make_config
from tests.helpers.full_disk import meet_at_writes
from tests.helpers.run_folders import SHORTEST
from tests.helpers.small_disk import small_disk


def test_a_disk_that_is_full_at_any_write_costs_no_run(tmp_path: Path, tiny_folder: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        spec = RunSpec(None, str(tiny_folder), "colourfulness", "quick", make_config(SHORTEST))
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

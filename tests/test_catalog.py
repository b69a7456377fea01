"""Model pairs by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpo.catalog import PAIRS, all_pairs, get_pair, run_pairs
from ddpo.errors import UserError
from tests.run_folders import make_run


def test_a_run_with_a_result_is_a_pair(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    assert run_pairs() == [] and all_pairs() == list(PAIRS.values())
    run = make_run(tmp_path, "finished", 2, base=tiny_folder, result=tiny_folder)
    without = make_run(tmp_path, "stopped", 1)
    (pair,) = run_pairs()
    assert pair == get_pair(f"run:{run.id}")
    assert (pair.base, pair.tuned, pair.sample_size) == (str(tiny_folder), str(run.result), 16)
    with pytest.raises(UserError, match="no result yet"):
        get_pair(f"run:{without.id}")


@pytest.mark.parametrize("name", ["run:", "run:nothing", "run:../../etc", "run:a/b"])
def test_a_run_that_is_not_there_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    with pytest.raises(UserError, match="There is no run"):
        get_pair(name)

"""A run to publish."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpo.runs.store import Run
from tests.helpers.finished_run import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "runs")

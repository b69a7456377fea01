"""docs/reliability.md speaks of tests that exist."""

from __future__ import annotations

import re

from tests.helpers.serving import ROOT

TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.endswith(("| test |", "| command |"))]


def test_every_fault_has_a_test_that_exists() -> None:
    there = set(re.findall(r"def (test_\w+)\(", "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))))
    assert len(ROWS) > 40
    for row in ROWS:
        shown = re.findall(r"`(test_\w+|python -m benchmarks\.\w+)`", row.split("|")[-2])
        assert shown, row
        for name in shown:
            module = ROOT / "benchmarks" / f"{name.rpartition('.')[2]}.py"
            assert name in there or module.is_file(), name

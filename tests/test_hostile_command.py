"""`python -m benchmarks.hostile` counts what pytest and hypothesis print."""

from __future__ import annotations

from benchmarks.hostile import FILES, count
from tests.helpers.serving import ROOT

PRINTED = """
tests/hostile/test_any_call.py::test_compare:

  - during generate phase (1.24 seconds):
    - 400 passing, 0 failing, and 7 invalid test cases

  - Stopped because settings.max_examples=400

tests/hostile/test_any_call.py::test_score:

  - during generate phase (0.50 seconds):
    - 31 passing examples, 1 failing examples, 0 invalid examples

FAILED tests/hostile/test_any_call.py::test_score - AssertionError: The score...
1 failed, 20 passed, 7 warnings in 95.79s (0:01:35)
"""


def test_examples_and_findings_are_counted() -> None:
    found = count("tests/hostile/test_any_call.py", 5, 95.83, PRINTED)
    assert (found.passed, found.examples, found.seconds, found.seed) == (20, 432, 95.8, 5)
    assert found.findings == ["tests/hostile/test_any_call.py::test_score"]


def test_every_file_of_hostile_tests_is_run() -> None:
    assert sorted(path.stem for path in (ROOT / "tests" / "hostile").glob("test_*.py")) == sorted(FILES)

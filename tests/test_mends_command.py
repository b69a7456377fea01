"""`python -m benchmarks.mends` can undo every mend, and asks tests that there are."""

from __future__ import annotations

import pytest

from benchmarks.mends import Mend, read_mends, undone
from tests.helpers.here import ROOT


@pytest.mark.parametrize("mend", read_mends(), ids=lambda mend: mend.found)
def test_every_mend_and_its_tests_are_where_they_are_said_to_be(mend: Mend) -> None:
    whole = (ROOT / mend.file).read_text(encoding="utf-8")
    assert undone(mend, whole) != whole
    for test in mend.tests:
        path, _, name = test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not name or f"def {name.partition('[')[0]}(" in text, test

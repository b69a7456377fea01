"""Numbers of strangers, before they are computed with."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ddpo.common.words import is_finite, shown


@pytest.mark.parametrize("value", [10**400, -(10**400), math.nan, math.inf, True, "1", None, 1j])
def test_a_number_of_too_many_digits_is_no_number_to_compute_with(value: Any) -> None:
    assert not is_finite(value) and len(shown(value)) <= 100


@pytest.mark.parametrize("value", [0, -1, 1.5, 10**300])
def test_other_numbers_are(value: float) -> None:
    assert is_finite(value)

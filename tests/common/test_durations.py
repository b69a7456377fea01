"""Durations, numbers and dates as people read them."""

from __future__ import annotations

from ddpo.common.words import in_words


def test_durations_read_well() -> None:
    assert [in_words(seconds) for seconds in (5, 60, 725, 3600, 7500)] == [
        "less than a minute", "1 minute", "12 minutes", "1 hour", "2 hours 5 minutes",
    ]  # fmt: skip

"""Numbers, durations and dates for people."""

from __future__ import annotations

import math
import reprlib
from datetime import datetime
from typing import Any

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 100
_short.maxlong = 40


def shown(value: Any) -> str:
    """Any value as a sentence may quote it: short, whatever its length, and never an error of its own."""
    try:
        return " ".join(_short.repr(value).split())
    except Exception:  # a number of more digits than Python writes, or an object that cannot describe itself
        return f"{'a number of too many digits' if isinstance(value, int) else type(value).__name__}"


def is_finite(value: Any) -> bool:
    """Whether a value is a number that can be computed with: no truth value, not NaN, infinite or like 10^400."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def in_words(seconds: float) -> str:
    """A duration for reading: "less than a minute", "12 minutes", "2 hours 5 minutes"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "hour"), (minutes, "minute")]
    return " ".join(f"{number} {unit}{'s' if number > 1 else ''}" for number, unit in parts if number)


def epochs_in_words(count: int) -> str:
    """A number of epochs for reading."""
    return f"{count} epoch{'' if count == 1 else 's'}"


def moment(text: str) -> str:
    """An ISO date for reading."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when.day} {when:%b %H:%M} UTC"


def signed(value: float, decimals: int) -> str:
    """A difference with its sign; what rounds to zero has none."""
    text = f"{value:+.{decimals}f}"
    return text if text.strip("+-0.") else text[1:]


def duration(seconds: float) -> str:
    """About how long, for a person."""
    if seconds < 1.5:
        return "about 1 s"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"

"""Numbers, durations and dates for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


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

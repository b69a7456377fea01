"""What is known about a setting, for whoever shows or checks it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ddpo.common.words import is_finite, shown
from ddpo.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """What is known about a field of `TrainConfig`, for whoever shows or checks it."""

    name: str
    kind: type  # int, float, bool or str
    default: Any
    help: str  # one line
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False  # low itself is not allowed
    open_high: bool = False
    choices: tuple[str, ...] = ()

    @property
    def bounds(self) -> str:
        """The range in words, as it stands behind "must be"."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        low = ("above " if self.open_low else "at least ") + _plain(self.low)
        if self.high == math.inf:
            return low
        return f"{low} and " + ("below " if self.open_high else "at most ") + _plain(self.high)

    def check(self, value: Any) -> Any:
        """The value in the field's own type.

        Raises:
            UserError: it is of another type or out of range; the sentence names the field.
        """
        if self.kind is bool:
            if not isinstance(value, bool):
                raise UserError(f"{self.name} must be true or false, and {shown(value)} is neither.")
            return value
        if self.kind is str:
            if not isinstance(value, str) or value not in self.choices:
                raise UserError(f"{self.name} must be {self.bounds}, and {shown(value)} is not.")
            return value
        if not is_finite(value) or (self.kind is int and value != int(value)):
            what = "a whole number" if self.kind is int else "a finite number"
            raise UserError(f"{self.name} must be {what}, and {shown(value)} is not one.")
        below = value <= self.low if self.open_low else value < self.low
        above = value >= self.high if self.open_high else value > self.high
        if below or above:
            raise UserError(f"{self.name} must be {self.bounds}, and {shown(value)} is not.")
        return self.kind(value)

    def parse(self, text: str) -> Any:
        """The value that a text stands for, checked.

        Raises:
            UserError: it stands for none.
        """
        if self.kind is str:
            return self.check(text)
        if self.kind is bool:
            return self.check({"true": True, "false": False}.get(text.lower(), text))
        try:
            value = float(text)
        except ValueError:
            return self.check(text)
        return self.check(value)


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def _setting(default: T, text: str, low: float = -math.inf, high: float = math.inf, **more: Any) -> T:
    value: T = field(default=default, metadata={"help": text, "low": low, "high": high, **more})
    return value

"""From a JSON object to a dataclass: older files lack fields and take their defaults, damaged ones are named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ddpo.common.words import is_finite, shown

T = TypeVar("T")
LARGEST = 1e300  # of a number, so that the square of its root and sums of a few are still numbers


def read(cls: type[T], facts: Mapping[str, Any]) -> T:
    """The dataclass of which a JSON object was made; entries that it does not know are left alone.

    A number that is missing or null is NaN, as JSON has no other word for it, unless its field has a default.

    Args:
        cls: a dataclass of numbers, texts, truth values, tuples of numbers, and None in place of any.
        facts: the object.

    Raises:
        ValueError: an entry is missing, or of another type; the message names it.
    """
    hints = _hints(cls)  # type: ignore[arg-type]
    values = {}
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name not in facts and field.default is not MISSING:
            continue
        try:
            values[field.name] = _checked(hints[field.name], facts.get(field.name))
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{field.name} cannot be {shown(facts.get(field.name))}") from None
    return cls(**values)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _checked(kind: Any, value: Any) -> Any:
    if isinstance(kind, UnionType):
        others = [option for option in get_args(kind) if option is not type(None)]
        return None if value is None else _checked(others[0], value)
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        entries = [None] * len(inner) if value is None else value
        return tuple(_checked(option, entry) for option, entry in zip(inner, entries, strict=True))
    if kind is float:
        return math.nan if value is None else float(_number(value))
    if kind is int:
        number = _number(value)
        if number != int(number):
            raise ValueError
        return int(number)
    if not isinstance(value, kind):
        raise TypeError
    return value


def _number(value: Any) -> float:
    """A number that can be computed with; files say null for what cannot, so anything else is damage."""
    if not is_finite(value) or abs(value) > LARGEST:
        raise TypeError
    return value

"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def table(heads: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    """The lines of a table, each cell as `str` has it."""
    first, *rest = [[str(cell) for cell in cells] for cells in (heads, *rows)]
    return [_line(first), "|---" * len(first) + "|", *map(_line, rest)]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""The tables of the pages are those of the committed results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tables import PAGES, PLACE, TABLES, filled


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_made_from_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert PLACE.search(text)
    assert filled(text) == text, "run python -m benchmarks.tables"


def test_every_table_stands_on_a_page() -> None:
    named = {match["name"] for page in PAGES for match in PLACE.finditer(page.read_text(encoding="utf-8"))}
    assert named == set(TABLES)


def test_a_figure_that_was_changed_by_hand_is_put_right() -> None:
    page = PAGES[1].read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| DDIM | 50 |"))
    assert filled(page.replace(row, row.replace("| DDIM | 50 | ", "| DDIM | 50 | 1"))) == page


def test_a_table_that_there_is_not_is_told() -> None:
    with pytest.raises(SystemExit, match="no table 'nothing'"):
        filled("<!-- table: nothing -->\n\n| a |\n")

"""docs/security.md speaks of code and tests that exist."""

from __future__ import annotations

import importlib
import re
from functools import reduce

import pytest

from ddpo.ui.space.asker import Asker
from tests.helpers.here import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(ddpo\.[\w.]+)`", TEXT)))
TESTS = sorted(set(re.findall(r"`((?:tests/[\w/]*)?test_\w+\.py)(?:::(\w+))?`", TEXT)))
ROWS = [line for line in TEXT.partition("## What holds it")[2].splitlines() if line.startswith("| ")][1:]


def look_up(name: str) -> object:
    """The object of a dotted name: the longest part that is a module, then attributes."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[count:], module)
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_code_that_holds_it_exists(name: str) -> None:
    assert look_up(name)


def test_a_name_that_is_gone_is_noticed() -> None:
    with pytest.raises(AttributeError):
        look_up("ddpo.ui.space.asker.whoever")


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_the_test_that_shows_it_exists(file: str, test: str) -> None:
    found = list((ROOT / "tests").rglob(file.rpartition("/")[2]))  # wherever its folder is by now
    assert found and (not test or f"def {test}(" in found[0].read_text(encoding="utf-8"))


def test_every_threat_names_what_holds_it_and_what_shows_it() -> None:
    assert len(ROWS) >= 15
    for row in ROWS:
        _, _, held, shown, _ = (cell.strip() for cell in row.split("|"))
        assert "`ddpo." in held and "::test_" in shown, row


def test_everybody_who_may_ask_is_described() -> None:
    for asker in Asker:
        assert re.search(rf"\*\*[^*]*{asker.value}", TEXT), asker

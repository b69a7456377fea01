"""Records of a file that grows are those of the whole file, whatever happened to it between two looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ddpo.runs.growing_file import MARK, GrowingFileCache
from ddpo.runs.metric_parts import Line, lines_of

CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "tear", "mend", "cut", "write anew", "look"]), st.integers(0, 9)), max_size=12
)


def numbers(lines: list[Line]) -> list[Any]:
    return [line["n"] for line, _ in lines]


def line_of(number: int) -> bytes:
    return json.dumps({"n": number, "padding": "x" * (40 * number)}).encode() + b"\n"


@given(CHANGES)
def test_what_is_read_bit_by_bit_is_what_the_file_says(tmp_path_factory: Any, changes: list[tuple[str, int]]) -> None:
    path = tmp_path_factory.mktemp("growing") / "metrics.jsonl"
    path.touch()
    cache = GrowingFileCache(numbers)
    for change, number in changes:
        content = path.read_bytes()
        if change in ("add", "tear", "mend"):
            added = {"add": line_of(number), "tear": line_of(number)[:-3], "mend": b"\n"}[change]
            with path.open("ab") as file:
                file.write(added)
        elif change == "cut":
            with path.open("ab") as file:
                file.truncate(max(0, len(content) - number))
        elif change == "write anew":
            new = path.with_name("new")
            new.write_bytes(line_of(number) + content[: 2 * MARK])
            new.replace(path)
        if change == "look":
            assert cache.get(path) == numbers(list(lines_of(path.read_bytes())))
    assert cache.get(path) == numbers(list(lines_of(path.read_bytes())))


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    path, seen = tmp_path / "metrics.jsonl", []

    def count(lines: list[Line]) -> list[int]:
        seen.append(len(lines))
        return [len(lines)]

    cache = GrowingFileCache(count)
    for number in range(4):
        with path.open("ab") as file:
            file.write(line_of(number))
        cache.get(path)
        cache.get(path)
    assert seen == [1, 1, 1, 1]

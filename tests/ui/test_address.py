"""What the page makes of its address."""

from __future__ import annotations

import pytest

from ddpo.ui.address import settings, updates
from ddpo.ui.space.asker import Asker

TABS = ["compare", "train", "score"]


def test_fields_are_read_as_what_they_are_and_the_rest_is_left_alone() -> None:
    address = {"scheduler": "pndm", "steps": "20", "eta": "0.5", "seed": "7", "__theme": "dark", "logs": "build"}
    assert settings(Asker.OPERATOR, address) == ({"scheduler": "pndm", "steps": 20, "eta": 0.5, "seed": 7}, [])
    assert updates(Asker.OPERATOR, {"__sign": "abc", "pair": ""}, TABS) == {}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"steps": "many"}, "number of steps must be"),
        ({"steps": "nan"}, "number of steps must be"),
        ({"scheduler": "pndm", "steps": "3"}, "from 4 to 1000"),
        ({"samples": "17"}, "from 1 to 16"),
        ({"seed": "-1"}, "seed must be"),
        ({"seed": "1" * 5000}, "not be longer"),
        ({"eta": "2"}, "between 0"),
        ({"pair": "church"}, "no model pair called 'church'"),
        ({"pair": "own", "base": "a/b"}, "Give both models"),
        ({"base": "a/b"}, "pair=own"),
        ({"scorer": "beauty"}, "beauty"),
        ({"tab": "paint"}, "choose one of: compare, train, score"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence_and_changes_nothing(address: dict[str, str], expected: str) -> None:
    found = updates(Asker.OPERATOR, {**address, "samples": address.get("samples", "3")}, TABS)
    assert expected in found["card"]["value"].replace("&#x27;", "'")
    assert found.get("samples") == (None if "samples" in address else 3)
    if "scheduler" in address:
        assert found["steps"]["value"] == 50  # the scheduler's own
    else:
        assert not address.keys() & found.keys()


@pytest.mark.parametrize("name", ["pair", "scheduler", "steps", "eta", "samples", "seed", "scorer", "base", "tab"])
@pytest.mark.parametrize(
    "value", ["<script>alert(1)</script>", "x" * 10_000, "../../etc", "-1e999", "run:someone-else", "\0"]
)
def test_any_value_that_means_nothing_ends_in_a_sentence(name: str, value: str) -> None:
    found = updates(Asker.VISITOR, {name: value}, TABS)
    assert set(found) == {"card"}
    assert "<script" not in found["card"]["value"] and len(found["card"]["value"]) < 2000


def test_what_follows_from_a_value_comes_with_it() -> None:
    found = updates(Asker.OPERATOR, {"scheduler": "ddpm", "tab": "Train"}, TABS)
    assert found["steps"]["value"] == 1000 and found["eta"]["visible"] is False
    assert found["tab"].selected == "train" and "card" not in found
    assert updates(Asker.OPERATOR, {"scheduler": "ddpm", "steps": "9"}, TABS)["steps"]["value"] == 9
    own = updates(Asker.OPERATOR, {"pair": "own", "base": "a/b", "tuned": "c/d"}, TABS)
    assert (own["base"]["value"], own["tuned"]["value"], own["base"]["visible"]) == ("a/b", "c/d", True)
    bundled = updates(Asker.OPERATOR, {"pair": "church-64"}, TABS)
    assert bundled["scorer"] == "photographic" and bundled["base"]["visible"] is False

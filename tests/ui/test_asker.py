"""The rule that tells the operator from everybody else, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from ddpo.ui.space import asker, front_door
from ddpo.ui.space.asker import Asker
from tests.helpers.asking import request


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Asker.OPERATOR),
        ({"peer": "::1", "host": "[::1]"}, Asker.OPERATOR),
        ({"peer": "::ffff:127.0.0.1", "host": "127.8.8.8"}, Asker.OPERATOR),
        ({"host": "LOCALHOST."}, Asker.OPERATOR),
        ({"host": "0.0.0.0:7860"}, Asker.OPERATOR),  # the address that Gradio prints
        ({"origin": "http://localhost:7860"}, Asker.OPERATOR),
        ({"origin": "http://127.0.0.1:5173", "sec_fetch_site": "cross-site"}, Asker.OPERATOR),
        ({"host": "localhost", "origin": "http://localhost:80"}, Asker.OPERATOR),
        ({"sec_fetch_site": "same-origin"}, Asker.OPERATOR),
        ({"peer": "192.168.1.7"}, Asker.ELSEWHERE),
        ({"peer": "::ffff:192.168.1.7"}, Asker.ELSEWHERE),
        ({"peer": None}, Asker.ELSEWHERE),
        ({"peer": "testclient"}, Asker.ELSEWHERE),
        ({"host": None}, Asker.ELSEWHERE),
        ({"host": ""}, Asker.ELSEWHERE),
        ({"host": "evil.example"}, Asker.ELSEWHERE),
        ({"host": "localhost.evil.example"}, Asker.ELSEWHERE),
        ({"host": "127.0.0.1.nip.io"}, Asker.ELSEWHERE),
        ({"host": "localhost@evil.example"}, Asker.ELSEWHERE),
        ({"host": "localhost, evil.example"}, Asker.ELSEWHERE),
        ({"host": "localhost:7860", "forwarded": "for=203.0.113.9"}, Asker.ELSEWHERE),
        ({"x_forwarded_for": "127.0.0.1"}, Asker.ELSEWHERE),
        ({"x_forwarded_host": "localhost"}, Asker.ELSEWHERE),
        ({"x_forwarded_proto": "https"}, Asker.ELSEWHERE),
        ({"via": "1.1 proxy"}, Asker.ELSEWHERE),
        ({"host": "evil.example", "origin": "http://evil.example"}, Asker.ELSEWHERE),
        ({"origin": "https://evil.example"}, Asker.WEBSITE),
        ({"origin": "http://localhost.evil.example"}, Asker.WEBSITE),
        ({"origin": "null"}, Asker.WEBSITE),
        ({"origin": "file://"}, Asker.WEBSITE),
        ({"origin": ["http://localhost:7860", "https://evil.example"]}, Asker.WEBSITE),
        ({"sec_fetch_site": "cross-site"}, Asker.WEBSITE),
        ({"sec_fetch_site": "same-site"}, Asker.WEBSITE),
        ({"host": "192.168.1.7:7860", "peer": "192.168.1.9", "origin": "http://localhost:7860"}, Asker.WEBSITE),
    ],
)
def test_who_is_asking(given: dict[str, Any], expected: Asker) -> None:
    assert asker.who(request(**given)) is expected


def test_two_hosts_are_none_and_no_request_is_nobody_here() -> None:
    double = request()
    double.scope["headers"].append((b"host", b"localhost"))
    assert asker.who(double) is Asker.ELSEWHERE
    assert asker.who(None) is Asker.ELSEWHERE


def test_on_a_space_nobody_is_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "owner/studio")
    assert asker.who(request()) is asker.who(None) is Asker.VISITOR


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"peer": "198.51.100.7"}, "198.51.100.7"),
        ({"peer": "198.51.100.7", "x_forwarded_for": "1.2.3.4"}, "198.51.100.7"),  # which anybody can write
        ({"peer": "2001:db8:1:2:3::4"}, "2001:db8:1:2::/64"),
    ],
)
def test_whose_turn_a_job_takes(given: dict[str, Any], expected: str) -> None:
    assert asker.visitor(request(**given)) == expected


def test_on_a_space_the_last_public_hop_is_the_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "owner/studio")
    claimed = request("10.0.0.1", x_forwarded_for="9.9.9.9, 8.8.8.8, 10.2.3.4")
    assert asker.visitor(claimed) == "8.8.8.8"
    signed_in = {"oauth_info": {"userinfo": {"preferred_username": "somebody"}}}
    claimed.scope["session"] = signed_in
    assert asker.visitor(claimed) == "user somebody"
    other_site = request("10.0.0.1", origin="https://evil.example", x_forwarded_for="8.8.8.8")
    other_site.scope["session"] = signed_in
    assert asker.visitor(other_site) == "8.8.8.8"


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("0.0.0.0", True), ("::", True), ("[::]", True), ("192.168.1.7", True), ("studio.example", True),
        ("127.0.0.1", False), ("localhost", False), ("::1", False), ("[::1]", False), (None, False),
    ],
)  # fmt: skip
def test_what_listens_to_more_than_this_machine(name: str | None, public: bool) -> None:
    assert front_door.is_public(name) == public

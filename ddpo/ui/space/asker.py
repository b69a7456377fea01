"""Who is asking: the one rule by which every door of the app tells its operator from everybody else.

A request is judged by what the browser or the network adds to it, never by what a visitor could claim for themselves:

- the address that it came from, which nobody on another machine can make a loopback one;
- the `Host` that it was sent to. A page of another site that had its name point to this machine (DNS rebinding) is sent
  to that name, and a share link to its own;
- the headers of proxies and tunnels. They end on this machine, so the address is a loopback one though the visitor sits
  elsewhere;
- the `Origin` that browsers add to whatever a page of another site sends here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from ddpo.common.machine import on_space

LOCAL_NAMES = frozenset({"localhost"})
# Whatever else of this kind there is begins with "x-forwarded-".
PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip", "x-original-host", "cf-connecting-ip", "true-client-ip"})
_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?", re.ASCII | re.IGNORECASE)
_STANDARD_PORTS = {"http": "80", "https": "443"}


class Asker(Enum):
    """Who a request comes from. On a Space there are owner and visitors; elsewhere operator and everybody else."""

    OPERATOR = "operator"  # at the machine that runs the app
    OWNER = "owner"  # of the Space, signed in
    VISITOR = "visitor"  # of a Space, signed in or not
    ELSEWHERE = "elsewhere"  # whoever reached an app that is no Space from another machine, a share link or a proxy
    WEBSITE = "website"  # a page of another site, in the browser of anybody above


@dataclass(frozen=True)
class Authority:
    """Where a request was sent, or which site it came from: a name in lower case without a final dot, and a port."""

    name: str
    port: str | None = None

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The address that the name spells; None for a name that has to be looked up."""
        return _address(self.name.strip("[]"))

    @property
    def is_local(self) -> bool:
        """Whether it means this machine for whoever uses it, and cannot be made to mean another."""
        address = self.address
        if address is None:
            return self.name in LOCAL_NAMES
        return address.is_loopback or address.is_unspecified  # a browser takes 0.0.0.0 for this machine


def who(request: Any, profile: gr.OAuthProfile | None = None) -> Asker:
    """Who sent a request.

    Args:
        request: as Gradio or Starlette hands it over. None, which no request from outside is, counts as from elsewhere.
        profile: of whoever has signed in; None without a sign-in. On a Space only.
    """
    if request is None:
        return Asker.VISITOR if on_space() else Asker.ELSEWHERE
    request = _inner(request)
    if from_another_site(request):
        return Asker.WEBSITE  # the cookies of a sign-in come along, and nobody meant them to
    if on_space():
        return Asker.OWNER if is_owner(profile) else Asker.VISITOR
    return Asker.OPERATOR if from_this_machine(request) else Asker.ELSEWHERE


def is_owner(profile: gr.OAuthProfile | None) -> bool:
    """Whether who has signed in is the owner of this Space."""
    owner = os.environ.get("SPACE_AUTHOR_NAME") or os.environ.get("SPACE_ID", "").partition("/")[0]
    return profile is not None and bool(owner) and profile.username == owner


def from_this_machine(request: Any) -> bool:
    """Whether nothing but this machine can have sent it: a loopback address, a local `Host`, and no proxy between."""
    request = _inner(request)
    if any(name.startswith("x-forwarded-") or name in PROXY_HEADERS for name in request.headers):
        return False
    peer = _address(request.client.host) if request.client else None
    host = sent_to(request)
    return peer is not None and peer.is_loopback and host is not None and host.is_local


def from_another_site(request: Any) -> bool:
    """Whether a browser says that a page of another site sent it; two local sites count as one."""
    headers, host = _inner(request).headers, sent_to(request)
    origins = _all(headers, "origin")
    if not origins:
        return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
    origin = _site(origins[0]) if len(origins) == 1 else None
    if origin is None:  # "null" is a sandboxed frame, or a file that was opened
        return True
    if origin == host or (host is not None and origin.is_local and host.is_local):
        return False
    return not (on_space() and origin.name in _names_of_the_space())


def sent_to(request: Any) -> Authority | None:
    """What its `Host` says; None where there is none, more than one, or no name at all."""
    hosts = _all(_inner(request).headers, "host")
    return authority(hosts[0]) if len(hosts) == 1 else None


def authority(text: str) -> Authority | None:
    """A name with or without a port, as a `Host` has it; None where it is no such thing."""
    match = _AUTHORITY.fullmatch(text.strip())
    if match is None:
        return None
    port = match["port"]
    return Authority(match["name"].lower().removesuffix("."), None if port in _STANDARD_PORTS.values() else port)


def visitor(request: Any) -> str:
    """Whose turn a job takes: the account that has signed in, else the address that the request came from.

    Of IPv6 the network counts, since a single visitor has the whole of it.
    """
    request = _inner(request)
    if not from_another_site(request):
        profile = (request.scope.get("session") or {}).get("oauth_info", {}).get("userinfo", {})
        if name := profile.get("preferred_username"):
            return f"user {name}"
    peer = _address(request.client.host) if request.client else None
    if on_space():  # the proxies of the host stand between; each adds the address that it sees at the end
        hops = [_address(hop) for text in _all(request.headers, "x-forwarded-for") for hop in text.split(",")]
        peer = next((hop for hop in reversed(hops) if hop is not None and hop.is_global), peer)
    if isinstance(peer, IPv6Address):
        return str(ip_network((peer, 64), strict=False))
    return str(peer)


def _inner(request: Any) -> Any:
    """Starlette's request within Gradio's."""
    return request.request if isinstance(request, gr.Request) else request


def _all(headers: Any, name: str) -> list[str]:
    found: Iterable[str] = headers.getlist(name)
    return list(found)


def _site(origin: str) -> Authority | None:
    parts = urlsplit(origin.strip())
    if parts.scheme not in _STANDARD_PORTS or parts.path or parts.query or parts.fragment:
        return None
    return authority(parts.netloc)


def _names_of_the_space() -> set[str]:
    """Those of its own domain first, and one that its owner has given it."""
    return {name.strip().lower() for name in os.environ.get("SPACE_HOST", "").split(",") if name.strip()}


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address

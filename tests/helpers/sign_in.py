"""A small stand-in for the page on which people sign in with Hugging Face: an OpenID provider beside `hub_server`.

It speaks the authorization code flow of OpenID Connect, as far as Gradio's LoginButton goes through it: the page asks
who signs in, the code works once and for the client that it was given to, and the identity is signed with RS256. The
access tokens that it hands out are good at the Hub beside it, if they were asked for with the scope to write there.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.helpers.answering import answering
from tests.helpers.hub_server import HubServer

HOURS = 8 * 3600  # seconds that a sign-in holds
WRITE = "manage-repos"


@dataclass
class SignInServer:
    """Who may sign in at which client, and what they were given."""

    hub: HubServer
    people: tuple[str, ...]
    client_id: str = "ddpo-studio-client"
    client_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    holds: int = HOURS  # seconds that the next sign-ins hold; below 0 they are over at once
    hangs_up: bool = False  # on whoever comes for the tokens
    codes: dict[str, dict[str, str]] = field(default_factory=dict)  # code -> what it was asked for, and by whom
    tokens: dict[str, list[str]] = field(default_factory=dict)  # user -> access tokens, the newest last
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def key(self) -> RSAKey:
        return RSAKey.generate_key(2048, parameters={"kid": "1", "use": "sig", "alg": "RS256"})

    @property
    def variables(self) -> dict[str, str]:
        """What a Space with `hf_oauth: true` has in its environment."""
        return {
            "OPENID_PROVIDER_URL": self.url, "OAUTH_CLIENT_ID": self.client_id,
            "OAUTH_CLIENT_SECRET": self.client_secret, "OAUTH_SCOPES": f"openid profile {WRITE}",
        }  # fmt: skip

    def facts(self, user: str) -> dict[str, str]:
        """What is known of somebody."""
        return {
            "sub": f"id-of-{user}", "name": user.title(), "preferred_username": user,
            "profile": f"{self.hub.url}/{user}", "picture": f"{self.hub.url}/avatars/{user}.svg",
        }  # fmt: skip

    def grant(self, asked: dict[str, str], user: str) -> str:
        """A code for what a client asked for, now that somebody has agreed."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "user": user}
        return code

    def redeem(self, code: str, redirect_uri: str) -> dict[str, Any] | None:
        """The tokens for a code, which works once and for the address that it was sent to."""
        asked = self.codes.pop(code, None)
        if asked is None or asked["redirect_uri"] != redirect_uri:
            return None
        user, now, token = asked["user"], int(time.time()), f"hf_oauth_{secrets.token_hex(16)}"
        self.tokens.setdefault(user, []).append(token)
        (self.hub.users if WRITE in asked["scope"].split() else self.hub.readers)[token] = user
        claims = {
            **self.facts(user), "iss": self.url, "aud": self.client_id, "iat": now, "exp": now + 3600,
            "nonce": asked["nonce"],
        }  # fmt: skip
        return {
            "access_token": token, "token_type": "bearer", "scope": asked["scope"], "expires_at": now + self.holds,
            "id_token": jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key),
        }  # fmt: skip


@contextmanager
def signing_in(hub: HubServer, *people: str) -> Iterator[SignInServer]:
    """Serve on a free port for the time of a with block."""
    provider = SignInServer(hub, people)
    with answering(type("Handler", (_Handler,), {"provider": provider})) as provider.port:
        yield provider


class _Handler(BaseHTTPRequestHandler):
    provider: SignInServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the output of the tests clean."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        match address.path:
            case "/.well-known/openid-configuration":
                self.configuration()
            case "/oauth/authorize":
                self.authorize(_flat(address.query))
            case "/oauth/agree":
                self.agree(_flat(address.query))
            case "/oauth/jwks":
                self.send(200, {"keys": [self.provider.key.as_dict(private=False)]})
            case "/oauth/userinfo":
                self.userinfo()
            case _:
                self.send(404, {"error": "not_found"})

    def do_POST(self) -> None:
        body = _flat(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        if urlsplit(self.path).path != "/oauth/token":
            return self.send(404, {"error": "not_found"})
        if self.provider.hangs_up:
            self.close_connection = True
            return None
        client = f"{self.provider.client_id}:{self.provider.client_secret}"
        if self.headers.get("Authorization") != f"Basic {base64.b64encode(client.encode()).decode()}":
            return self.send(401, {"error": "invalid_client"})
        given = self.provider.redeem(body.get("code", ""), body.get("redirect_uri", ""))
        return self.send(200 if given else 400, given or {"error": "invalid_grant"})

    def configuration(self) -> None:
        url = self.provider.url
        self.send(
            200,
            {
                "issuer": url, "authorization_endpoint": f"{url}/oauth/authorize",
                "token_endpoint": f"{url}/oauth/token", "userinfo_endpoint": f"{url}/oauth/userinfo",
                "jwks_uri": f"{url}/oauth/jwks", "response_types_supported": ["code"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "profile", WRITE],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            },
        )  # fmt: skip

    def authorize(self, asked: dict[str, str]) -> None:
        """The page that asks whether to let the client in, and here also who one is."""
        if asked.get("client_id") != self.provider.client_id or asked.get("response_type") != "code":
            return self.send(400, {"error": "invalid_request"})
        links = [
            f'<p><a href="/oauth/agree?{escape(urlencode({**asked, "user": user}))}">{escape(user)}</a></p>'
            for user in (*self.provider.people, "")
        ]
        links[-1] = links[-1].replace("></a>", ">Cancel</a>")
        return self.send(200, f"<h1>Sign in as</h1>{''.join(links)}")

    def agree(self, asked: dict[str, str]) -> None:
        """Send the visitor back, with a code, or without one where nobody agreed."""
        user = asked.pop("user", "")
        answer = {"code": self.provider.grant(asked, user)} if user else {"error": "access_denied"}
        target, joint = asked["redirect_uri"], "&" if "?" in asked["redirect_uri"] else "?"
        location = f"{target}{joint}{urlencode({**answer, 'state': asked['state']})}"
        self.send(302, {}, {"Location": location})

    def userinfo(self) -> None:
        user = self.provider.hub.user(self.headers.get("Authorization"))
        self.send(200 if user else 401, self.provider.facts(user) if user else {"error": "invalid_token"})

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        is_page = isinstance(content, str)
        body = (content if is_page else json.dumps(content)).encode()
        self.send_response(status)
        kind = "text/html; charset=utf-8" if is_page else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _flat(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}

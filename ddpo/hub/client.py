"""How huggingface_hub is used: whether the Hub answers, how long it may take, and the token to write with."""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from functools import cache
from typing import Any

from ddpo.errors import UserError
from ddpo.hub.ids import HubModel
from ddpo.hub.troubles import LOG_IN

SECONDS_TO_ANSWER = 10.0  # after which the Hub counts as out of reach
SECONDS_TO_PROBE = 1.0  # the same where a page waits for it
SECONDS_TO_WRITE = 30.0  # the same where something is written to it; a commit keeps it busy for a few
_TOKEN = re.compile(r"[!-~]+")  # anything else would come back in an error message about the header


def answers(model: HubModel, seconds: float = SECONDS_TO_PROBE) -> bool:
    """Whether the Hub knows a model at this moment; no answer in that time counts as none.

    The question is asked in a thread that may outlive the call, since looking up a name takes as long as it takes.
    """
    return _is_answered(f"/api/models/{model.id}", seconds, refusals=False)


def is_reachable(seconds: float = SECONDS_TO_PROBE) -> bool:
    """Whether the Hub answers at all, asked as by `answers`."""
    return _is_answered("/api/models?limit=1", seconds, refusals=True)


def _is_answered(path: str, seconds: float, refusals: bool) -> bool:
    """Whether an address of the Hub is answered in time; `refusals` says whether "no" is an answer too."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    found = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{constants.ENDPOINT}{path}", timeout=seconds):
                found.set()
        except urllib.error.HTTPError:
            if refusals:
                found.set()
        except (OSError, ValueError):
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return found.is_set()


@cache
def limit_waiting() -> None:
    """Have huggingface_hub give up on a Hub that takes a request and then says nothing.

    By itself it waits forever wherever it takes no timeout: when it pushes, lists files or starts a job. To be called
    before any use of it; only the first call in a process does anything. Xet's transfers have limits of their own.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    make = _http._GLOBAL_CLIENT_FACTORY  # the default, or that of a program which brings a proxy of its own

    def make_impatient() -> Any:
        client = make()
        client.event_hooks["request"].append(_limit_silence)  # which a call's `timeout=None` cannot undo
        return client

    set_client_factory(make_impatient)


def _limit_silence(request: Any) -> None:
    """Give a request that may wait forever, to connect or between two pieces, a limit."""
    limit = SECONDS_TO_ANSWER if request.method in ("GET", "HEAD") else SECONDS_TO_WRITE
    given = request.extensions.get("timeout", {})
    kinds = ("connect", "read", "write", "pool")
    request.extensions["timeout"] = {kind: limit if given.get(kind) is None else given[kind] for kind in kinds}


def need_token(token: str | None, purpose: str) -> str:
    """The token to write with: the given one, else that of the environment or of `hf auth login`.

    Args:
        token: None or "" where none is given.
        purpose: what it is needed for: "push".

    Raises:
        UserError: there is none, or what there is cannot be one.
    """
    from huggingface_hub import get_token

    limit_waiting()
    token = (token or get_token() or "").strip()
    if not token:
        raise UserError(f"There is no token to {purpose} with; {LOG_IN}, with a token that may write.")
    if not _TOKEN.fullmatch(token):
        raise UserError(f"What was given as a token cannot be one; {LOG_IN}, with a token that may write.")
    return token

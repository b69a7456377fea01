"""Loading that can be given up: a thread that builds or downloads a model asks between two layers whether to go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_module_registration_hook

_here = threading.local()


class Cancelled(BaseException):
    """Nobody waits for what is being loaded any more. No `Exception`, so that no loader takes it for a damaged file."""


@contextmanager
def cancellable(given_up: threading.Event) -> Iterator[None]:
    """Within the block, this thread raises Cancelled in `check` and between two layers, once the event is set."""
    _here.given_up = given_up
    try:
        yield
    finally:
        _here.given_up = None


def check() -> None:
    """Raises Cancelled where what this thread loads is no longer wanted."""
    given_up = getattr(_here, "given_up", None)
    if given_up is not None and given_up.is_set():
        raise Cancelled


def _on_layer(module: Any, name: str, layer: Any) -> None:
    check()


register_module_module_registration_hook(_on_layer)  # torch has this for all modules and threads only

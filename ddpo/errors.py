"""What goes wrong because of the input, in a sentence for the person who gave it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Bad input. The message is one clear sentence that says what is wrong and what to do; it is shown as it is."""


class Failed(UserError):  # noqa: N818, it is what became of a run
    """What was asked for was acceptable, and went wrong once it was under way. The cause is its `__cause__`."""


class Busy(UserError):  # noqa: N818, it is no error but a state
    """Another process trains."""


@contextmanager
def under_way() -> Iterator[None]:
    """Within the block a UserError is no longer one of usage: it becomes `Failed`, with the same sentence."""
    try:
        yield
    except (Busy, Failed):
        raise
    except UserError as error:
        raise Failed(str(error)) from error

"""Whether something fits the memory that is left for this process, and what to say where it does not."""

from __future__ import annotations

from ddpo.common.machine import free_memory
from ddpo.errors import UserError

RESERVE = 256 << 20  # bytes kept back: an estimate of tensors knows nothing of the libraries' own needs


def check_room(needed: float, what: str, remedy: str) -> None:
    """Refuse what would not fit the memory that there is.

    Args:
        needed: bytes.
        what: needs them, as the subject of a sentence.
        remedy: what to do, as a clause.

    Raises:
        UserError: there is less; the sentence gives both figures.
    """
    there = free_memory()
    if there is not None and needed + RESERVE > there:
        raise UserError(
            f"{what} needs about {in_gigabytes(needed + RESERVE)} of memory and {in_gigabytes(there)} are free; "
            f"{remedy}."
        )


def most_that_fit(each: float, wanted: int) -> int:
    """How many of so many things fit the memory that there is, from 0 to all of them.

    Args:
        each: bytes of one.
        wanted: how many there are.
    """
    there = free_memory()
    return wanted if there is None or each <= 0 else max(0, min(wanted, int((there - RESERVE) / each)))


def in_gigabytes(size: float) -> str:
    """A number of bytes for reading."""
    return f"{size / 1e9:.1f} GB" if size < 1e12 else f"{size / 1e12:,.0f} TB"


def is_short(error: BaseException) -> bool:
    """Whether an error means that the memory was not enough, on a CPU (where torch has no class for it) or a GPU."""
    words = ("can't allocate memory", "out of memory", "bad_alloc")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or any(word in str(error) for word in words))
    )

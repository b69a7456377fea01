"""What goes wrong with the Hugging Face Hub, as a sentence for the person who asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from pathlib import Path

from ddpo.common.files import is_full, storage_error
from ddpo.errors import UserError

LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


class Trouble(Enum):
    """What may go wrong with a download."""

    GATED = auto()  # behind conditions that have to be accepted
    NO_REVISION = auto()
    NO_REPOSITORY = auto()  # or one that is private
    NO_FILE = auto()  # in a repository that is there
    OFFLINE = auto()  # as the Hub's client was told
    STORAGE = auto()  # the disk is full, or the folder may not be written to
    REFUSED = auto()  # a status of 400 or above
    UNREACHABLE = auto()
    BROKEN_OFF = auto()  # and everything else


def find_trouble(error: BaseException) -> tuple[Trouble, BaseException]:
    """What a failed download failed by, and which of its causes tells it."""
    from huggingface_hub import errors

    for cause in causes(error):
        match cause:
            case errors.GatedRepoError():
                return Trouble.GATED, cause
            case errors.RevisionNotFoundError():
                return Trouble.NO_REVISION, cause
            case errors.RepositoryNotFoundError():
                return Trouble.NO_REPOSITORY, cause
            case errors.OfflineModeIsEnabled():
                return Trouble.OFFLINE, cause
            case OSError() if is_full(cause) or isinstance(cause, PermissionError):
                return Trouble.STORAGE, cause
    status = http_status(error)
    absent = next((cause for cause in causes(error) if isinstance(cause, errors.EntryNotFoundError)), None)
    if status is not None and status >= 400:
        return (Trouble.NO_FILE if absent and status == 404 else Trouble.REFUSED), error
    if absent is not None:
        local = isinstance(absent, errors.LocalEntryNotFoundError)
        return (Trouble.UNREACHABLE if local else Trouble.NO_FILE), absent
    return Trouble.BROKEN_OFF, error


def download_error(error: BaseException, id: str, revision: str | None) -> UserError:
    """What a failed download means for the person who asked for the model."""
    name = repr(id)
    trouble, cause = find_trouble(error)
    match trouble:
        case Trouble.GATED:
            sentence = f"{name} is gated: accept its conditions on its page on the Hub, then {LOG_IN}."
        case Trouble.NO_REVISION:
            sentence = f"{name} has no revision {revision!r}; give a branch, a tag or a commit of it on the Hub."
        case Trouble.NO_REPOSITORY:
            sentence = (
                f"There is no folder {name}, and no model of that name on the Hub that you may see; check the "
                f"spelling, or {LOG_IN} if it is private."
            )
        case Trouble.NO_FILE:
            sentence = f"{name} has lost a file on the Hub while it was downloaded; try again, or use another model."
        case Trouble.OFFLINE:
            sentence = (
                f"{name} is not in the cache, or not all of it, and HF_HUB_OFFLINE forbids downloading it; "
                "unset that, or load the model once where there is a network."
            )
        case Trouble.STORAGE:
            return cache_error(cause, f"The model {name}")
        case Trouble.REFUSED:
            sentence = status_sentence(http_status(error) or 0, f"{name} is not in the cache")
        case Trouble.UNREACHABLE:
            sentence = (
                f"The Hugging Face Hub cannot be reached, and {name} is not in the cache, or not all of it; check the "
                "network, or use a model that is here."
            )
        case Trouble.BROKEN_OFF:
            sentence = f"The download of {name} broke off; try again, every file that has arrived whole is kept."
    return UserError(sentence)


def not_to_be_had(names: Sequence[str]) -> str:
    """What is said of models before anything is begun with them."""
    return f"{' and '.join(names)}: not on this machine, and not to be had from the Hugging Face Hub now."


def cache_error(error: BaseException, what: str) -> UserError:
    """What it means that something could not be written to the Hub's cache."""
    from huggingface_hub import constants

    assert isinstance(error, OSError)
    return storage_error(error, Path(constants.HF_HUB_CACHE), what)


def status_sentence(status: int, trouble: str) -> str:
    """What a status of 400 and above means, for whatever was asked for.

    Args:
        status: of the answer.
        trouble: what is the matter for that reason, as a clause.
    """
    if status == 429:
        return f"The Hugging Face Hub takes no more requests for now, and {trouble}; wait a few minutes, or {LOG_IN}."
    if status in (401, 403):
        return f"The Hugging Face Hub refuses the token, and {trouble}; {LOG_IN} with one that is valid."
    return f"The Hugging Face Hub is out of order (HTTP {status}), and {trouble}; try again later."


def request_error(error: BaseException, trouble: str) -> UserError:
    """What a failed request means, other than one for a model.

    Args:
        error: what huggingface_hub raised.
        trouble: what is the matter for that reason, as a clause: "nothing was pushed".
    """
    from httpx2 import TimeoutException
    from huggingface_hub.errors import OfflineModeIsEnabled

    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes(error)):
        return UserError(f"HF_HUB_OFFLINE keeps this program from the Hugging Face Hub, and {trouble}; unset it.")
    if any(isinstance(cause, TimeoutException) for cause in causes(error)):
        return UserError(f"The Hugging Face Hub does not answer, and {trouble}; try again later.")
    status = http_status(error)
    if status is not None and status >= 400:
        return UserError(status_sentence(status, trouble))
    return UserError(f"The Hugging Face Hub cannot be reached, and {trouble}; check the network.")


def http_status(error: BaseException) -> int | None:
    """The status of the answer that an error is about, None where there was no answer."""
    for cause in causes(error):
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__

"""What goes wrong with the Hugging Face Hub, as a sentence for the person who asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ddpo.errors import UserError
from ddpo.files import is_full, storage_error

LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def download_error(error: BaseException, id: str, revision: str | None) -> UserError:
    """What a failed download means for the person who asked for the model."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = repr(id)
    for cause in causes(error):
        match cause:
            case GatedRepoError():
                return UserError(f"{name} is gated: accept its conditions on its page on the Hub, then {LOG_IN}.")
            case RevisionNotFoundError():
                return UserError(
                    f"{name} has no revision {revision!r}; give a branch, a tag or a commit of it on the Hub."
                )
            case RepositoryNotFoundError():
                return UserError(
                    f"There is no folder {name}, and no model of that name on the Hub that you may see; check the "
                    f"spelling, or {LOG_IN} if it is private."
                )
            case OfflineModeIsEnabled():
                return UserError(
                    f"{name} is not in the cache, or not all of it, and HF_HUB_OFFLINE forbids to download it; "
                    "unset that, or load the model once where there is a network."
                )
            case OSError() if is_full(cause) or isinstance(cause, PermissionError):
                return storage_error(cause, Path(constants.HF_HUB_CACHE), f"The model {name}")
    status = http_status(error)
    if status is not None and status >= 400:
        return UserError(status_sentence(status, f"{name} is not in the cache"))
    if any(isinstance(cause, EntryNotFoundError) for cause in causes(error)):
        return UserError(
            f"The Hugging Face Hub cannot be reached, and {name} is not in the cache, or not all of it; see to the "
            "network, or use a model that is here."
        )
    return UserError(f"The download of {name} broke off; try again, every file that has arrived whole is kept.")


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
    return UserError(f"The Hugging Face Hub cannot be reached, and {trouble}; see to the network.")


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

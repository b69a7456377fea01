"""Models on the Hugging Face Hub: what an id means, and the files that are needed.

Configurations come first and are looked at before any weights are downloaded. Everything goes through huggingface_hub's
own cache, so that a model that any other program has downloaded is found, and a download that broke off leaves nothing
behind that could be taken for the whole. A token goes to huggingface_hub and nowhere else.
"""

from __future__ import annotations

import os
import re
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ddpo.errors import UserError
from ddpo.hub.troubles import LOG_IN, download_error

Progress = Callable[[int, int], None]  # bytes that are there, bytes in all
SECONDS_TO_ANSWER = 10.0  # after which the Hub counts as out of reach
SECONDS_TO_PROBE = 1.0  # the same where a page waits for it
SECONDS_TO_WRITE = 30.0  # the same where something is written to it; a commit keeps it busy for a few
CONFIGS = ("model_index.json", "config.json", "scheduler_config.json")
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")  # in the order of preference
_PART = r"\w(?:[\w.-]{0,94}\w)?"
_SOURCE = re.compile(rf"(?P<id>{_PART}/{_PART})(?:@(?P<revision>\w(?:[\w./-]*[\w-])?))?", re.ASCII)
_TOKEN = re.compile(r"[!-~]+")  # anything else would come back in an error message about the header


@dataclass(frozen=True)
class HubModel:
    """A model on the Hub, at a branch, tag or commit."""

    id: str  # "owner/name"
    revision: str | None  # None is the main branch


def as_path(source: str) -> Path:
    """The path that a source stands for, whether there is anything or not. A folder comes before the Hub."""
    return Path(os.path.expanduser(source))  # noqa: PTH111, Path.expanduser raises for users that are not there


def parse(source: str) -> HubModel | None:
    """What "owner/name" or "owner/name@revision" means; None where it reads otherwise. Does not ask the Hub."""
    match = _SOURCE.fullmatch(source)
    if match is None or ".." in source or "--" in match["id"] or match["id"].endswith(".git"):
        return None
    return HubModel(match["id"], match["revision"])


def need(source: str) -> HubModel:
    """As `parse`, for a source that is no folder either.

    Raises:
        UserError: it is no id.
    """
    model = parse(source)
    if model is None:
        raise UserError(
            f"There is no folder {source!r}, nor is it the id of a model on the Hugging Face Hub, which reads "
            "owner/name or owner/name@revision."
        )
    return model


def is_folder(source: str) -> bool:
    """Whether a source is a folder on this machine."""
    return bool(source) and as_path(source).is_dir()


def absolute(source: str) -> str:
    """The same model as it can be found from any working folder."""
    return str(as_path(source).resolve()) if is_folder(source) else source


def short_name(source: str) -> str:
    """What to call a model where it may be read by anybody: its id, or the name of its folder without the way there."""
    return as_path(source).name if is_folder(source) or parse(source) is None else source


def is_cached(model: HubModel) -> bool:
    """Whether the configuration and the weights of a model are in the cache. Asks no network, checks no contents."""
    from huggingface_hub import try_to_load_from_cache

    def has(name: str) -> bool:
        return isinstance(try_to_load_from_cache(model.id, name, revision=model.revision), str)

    return any(has(part + "config.json") and any(has(part + name) for name in WEIGHTS) for part in ("unet/", ""))


def answers(model: HubModel, seconds: float = SECONDS_TO_PROBE) -> bool:
    """Whether the Hub knows a model at this moment; no answer in that time counts as none.

    The question is asked in a thread that may outlive the call, since looking up a name takes as long as it takes.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    address = f"{constants.ENDPOINT}/api/models/{model.id}"
    found = threading.Event()

    def ask() -> None:
        with suppress(OSError, ValueError), urllib.request.urlopen(address, timeout=seconds):
            found.set()

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


def download(model: HubModel, check: Callable[[Path], None], progress: Progress | None = None) -> Path:
    """The folder in the cache that holds a model, after what was missing has been downloaded.

    Args:
        model: which.
        check: looks at the folder once the configurations are in it, and raises UserError where weights are not worth
            downloading.
        progress: told of the bytes of the weights while they arrive, in the caller's thread.

    Raises:
        UserError: the model is missing, private, gated or out of reach and not in the cache, or `check` refused it.
    """
    limit_waiting()
    try:
        folder = _configurations(model)
    except Exception as error:  # whatever the network, the Hub or the disk comes up with
        raise download_error(error, model.id, model.revision) from error
    check(folder)
    try:
        _fetch_weights(model, folder, progress or (lambda done, total: None))
    except UserError:
        raise
    except Exception as error:
        raise download_error(error, model.id, model.revision) from error
    return folder


def licence(model: HubModel) -> str | None:
    """What the card of a model names as its licence, such as "apache-2.0"; None where there is none or no answer."""
    from huggingface_hub import HfApi

    limit_waiting()
    try:
        card = HfApi().model_info(model.id, revision=model.revision, timeout=SECONDS_TO_ANSWER).card_data
    except Exception:  # a licence that cannot be looked up must not stop anything
        return None
    name = card.get("license") if card else None
    return name if isinstance(name, str) else None


def _configurations(model: HubModel) -> Path:
    """The snapshot folder with the configurations; from the cache where the Hub does not answer as it should."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RevisionNotFoundError

    refusal: Exception | None = None
    try:
        HfApi().model_info(model.id, revision=model.revision, timeout=SECONDS_TO_ANSWER)
    except RevisionNotFoundError:
        raise
    except Exception as error:  # offline, down, hanging, rate limit, no longer public: the cache may still have it
        refusal = error
    patterns = [f"{part}{name}" for part in ("", "unet/", "scheduler/") for name in CONFIGS]
    try:
        return Path(
            snapshot_download(
                model.id, revision=model.revision, allow_patterns=patterns, local_files_only=refusal is not None,
                tqdm_class=bar(lambda done, total: None),
            )
        )  # fmt: skip
    except LocalEntryNotFoundError as error:
        raise error from refusal


def _fetch_weights(model: HubModel, folder: Path, progress: Progress) -> None:
    from huggingface_hub import get_cached_repo_tree, hf_hub_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    part = "unet/" if (folder / "unet" / "config.json").is_file() else ""
    names = [part + name for name in WEIGHTS]
    if any((folder / name).is_file() for name in names):
        return
    try:
        on_hub = {file.path for file in get_cached_repo_tree(model.id, revision=folder.name)}
    except CachedRepoTreeNotFoundError:  # another program has filled the cache, and the Hub is out of reach
        on_hub = set(names)
    name = next((name for name in names if name in on_hub), None)
    if name is None:
        raise UserError(f"{model.id!r} holds no weights that can be loaded: {' or '.join(names)} is missing.")
    hf_hub_download(model.id, name, revision=folder.name, tqdm_class=bar(progress))


def bar(progress: Progress) -> Any:
    """A class of progress bars for huggingface_hub that draw nothing and tell `progress`."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            progress(int(self.n), int(self.total or 0))

        # With these two, downloads through Xet report to one bar instead of two.
        def update_transfer(self, n: float | None = 1) -> None: ...
        def set_transfer_postfix_str(self, postfix: str = "", refresh: bool = True) -> None: ...

    return Bar


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

"""Models on the Hugging Face Hub: what an id means, and the files that are needed.

Configurations come first and are looked at before any weights are downloaded. Everything goes through huggingface_hub's
own cache, so that a model that any other program has downloaded is found, and a download that broke off leaves nothing
behind that could be taken for the whole. A token goes to huggingface_hub and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddpo.errors import UserError
from ddpo.hub import client
from ddpo.hub.ids import HubModel
from ddpo.hub.troubles import download_error

Progress = Callable[[int, int], None]  # bytes that are there, bytes in all
CONFIGS = ("model_index.json", "config.json", "scheduler_config.json")
LARGEST_CONFIGS = 8 << 20  # bytes of all of them; they have a kB each
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")  # in the order of preference


def is_cached(model: HubModel) -> bool:
    """Whether the configuration and the weights of a model are in the cache. Asks no network, checks no contents."""
    from huggingface_hub import try_to_load_from_cache

    def has(name: str) -> bool:
        return isinstance(try_to_load_from_cache(model.id, name, revision=model.revision), str)

    return any(has(part + "config.json") and any(has(part + name) for name in WEIGHTS) for part in ("unet/", ""))


def download(model: HubModel, check: Callable[[Path], int], progress: Progress | None = None) -> Path:
    """The folder in the cache that holds a model, after what was missing has been downloaded.

    Args:
        model: which.
        check: looks at the folder once the configurations are in it, and returns the most bytes that a file of weights
            may have; it raises UserError where weights are not worth downloading.
        progress: told of the bytes of the weights while they arrive, in the caller's thread.

    Raises:
        UserError: the model is missing, private, gated or out of reach and not in the cache, or `check` refused it.
    """
    client.limit_waiting()
    try:
        folder = _configurations(model)
    except UserError:
        raise
    except Exception as error:  # whatever the network, the Hub or the disk comes up with
        raise download_error(error, model.id, model.revision) from error
    largest = check(folder)
    try:
        _fetch_weights(model, folder, largest, progress or (lambda done, total: None))
    except UserError:
        raise
    except Exception as error:
        raise download_error(error, model.id, model.revision) from error
    return folder


def licence(model: HubModel) -> str | None:
    """What the card of a model names as its licence, such as "apache-2.0"; None where there is none or no answer."""
    from huggingface_hub import HfApi

    client.limit_waiting()
    try:
        card = HfApi().model_info(model.id, revision=model.revision, timeout=client.SECONDS_TO_ANSWER).card_data
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
        HfApi().model_info(model.id, revision=model.revision, timeout=client.SECONDS_TO_ANSWER)
    except RevisionNotFoundError:
        raise
    except Exception as error:  # offline, down, hanging, rate limit, no longer public: the cache may still have it
        refusal = error
    patterns = [f"{part}{name}" for part in ("", "unet/", "scheduler/") for name in CONFIGS]
    try:
        return Path(
            snapshot_download(
                model.id, revision=model.revision, allow_patterns=patterns, local_files_only=refusal is not None,
                tqdm_class=bar(_at_most(LARGEST_CONFIGS, f"The configurations of {model.id!r} are")),
            )
        )  # fmt: skip
    except LocalEntryNotFoundError as error:
        raise error from refusal


def _fetch_weights(model: HubModel, folder: Path, largest: int, progress: Progress) -> None:
    from huggingface_hub import get_cached_repo_tree, hf_hub_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    part = "unet/" if (folder / "unet" / "config.json").is_file() else ""
    names = [part + name for name in WEIGHTS]
    if any((folder / name).is_file() for name in names):
        return
    try:
        on_hub = {file.path: file.size for file in get_cached_repo_tree(model.id, revision=folder.name)}
    except CachedRepoTreeNotFoundError:  # another program has filled the cache, and the Hub is out of reach
        on_hub = dict.fromkeys(names, 0)
    name = next((name for name in names if name in on_hub), None)
    if name is None:
        raise UserError(f"{model.id!r} holds no weights that can be loaded: {' or '.join(names)} is missing.")
    limited = _at_most(largest, f"The weights of {model.id!r} are", progress)
    limited(0, on_hub[name] or 0)
    hf_hub_download(model.id, name, revision=folder.name, tqdm_class=bar(limited))


def _at_most(largest: int, what: str, progress: Progress | None = None) -> Progress:
    """Progress that raises UserError, and so breaks a download off, once there is more than was to be expected."""

    def tell(done: int, total: int) -> None:
        if max(done, total) > largest:
            raise UserError(
                f"{what} larger than {largest / 1e6:,.0f} MB, which its network has no use for; the model is damaged."
            )
        if progress is not None:
            progress(done, total)

    return tell


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

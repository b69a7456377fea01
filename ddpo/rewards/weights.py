"""Weights that are fetched on first use: where they are, how to know them, and whether they are here already.

Every file is pinned to a commit, and known by its checksum or by that of its tensors, except for the age classifier's.
Nothing is imported here that is slow, so that the page can ask before anything is loaded.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from ddpo.common.files import replacing, sha256, storage_error
from ddpo.errors import UserError
from ddpo.hub import client, downloads
from ddpo.hub.troubles import Trouble, cache_error, find_trouble, http_status, status_sentence

LARGEST_FROM_URL = 16 << 20  # bytes; what comes from a plain address is a few kB, and is held in memory


@dataclass(frozen=True)
class WeightsFile:
    """One file, in a repository on the Hugging Face Hub or at an address."""

    repo: str  # id of the repository
    filename: str
    megabytes: float  # about how much is downloaded
    revision: str | None = None  # commit; None follows the repository's main branch
    sha256: str | None = None  # of the file; None where its contents are checked otherwise
    url: str | None = None  # address of a file that is not on the Hub, of the commit `revision`


CLIP_L_14 = WeightsFile(
    repo="timm/vit_large_patch14_clip_224.openai",
    filename="open_clip_model.safetensors",
    megabytes=1710,
    revision="18d0535469bb561bf468d76c1d73aa35156c922b",
    sha256="9ce2e8a8ebfff3793d7d375ad6d3c35cb9aebf3de7ace0fc7308accab7cd207e",
)
CLIP_B_32 = WeightsFile(
    repo="timm/vit_base_patch32_clip_224.openai",
    filename="open_clip_model.safetensors",
    megabytes=605,
    revision="a6f597a30f7b82c51704746581f9a4e41421e878",
    sha256="e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
)
LAION_V2 = WeightsFile(  # the tensors of christophschuhmann/improved-aesthetic-predictor, saved again
    repo="trl-lib/ddpo-aesthetic-predictor",
    filename="aesthetic-model.pth",
    megabytes=3.7,
    revision="cf4bd10345610935a80a5d3be9a3133c50f121e4",
)
_LAION_V1 = "https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/6d122adad522ab246644d9dc1c6d7a3810ee255f/"
LAION_V1_L_14 = WeightsFile(
    repo="LAION-AI/aesthetic-predictor",
    filename="sa_0_4_vit_l_14_linear.pth",
    megabytes=0.004,
    revision="6d122adad522ab246644d9dc1c6d7a3810ee255f",
    sha256="2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
    url=_LAION_V1 + "sa_0_4_vit_l_14_linear.pth",
)
LAION_V1_B_32 = WeightsFile(
    repo="LAION-AI/aesthetic-predictor",
    filename="sa_0_4_vit_b_32_linear.pth",
    megabytes=0.003,
    revision="6d122adad522ab246644d9dc1c6d7a3810ee255f",
    sha256="c7b14cead230694acc7b9447974d3cad78003c72da032e402a303b6c2429e85f",
    url=_LAION_V1 + "sa_0_4_vit_b_32_linear.pth",
)
# Not pinned: no commit of this repository could be confirmed from a second source, and a wrong one would be worse than
# none. It holds JSON and safetensors only, so no code is run, and `rewards.age` refuses other classes than the nine.
AGE_CONFIG = WeightsFile("nateraw/vit-age-classifier", "config.json", 0.001)
AGE_PICTURES = WeightsFile("nateraw/vit-age-classifier", "preprocessor_config.json", 0.001)
AGE_MODEL = WeightsFile("nateraw/vit-age-classifier", "model.safetensors", 343)


def cached(file: WeightsFile) -> Path | None:
    """Where a file is on this machine; None where it has to be fetched. It asks no network and checks no contents."""
    from huggingface_hub import try_to_load_from_cache

    if file.url is not None:
        path = _place(file)
        return path if path.is_file() else None
    found = try_to_load_from_cache(file.repo, file.filename, revision=file.revision)
    return Path(found) if isinstance(found, str) else None


def is_offline() -> bool:
    """Whether the Hub's client was told to stay offline (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def fetch(file: WeightsFile, progress: downloads.Progress | None = None) -> Path:
    """The path of a file, downloaded where it is not in the cache.

    Args:
        file: which.
        progress: told of bytes there and bytes in all, while a file comes from the Hub.

    Raises:
        UserError: it cannot be had, or it is not the file that was expected.
    """
    path = _from_hub(file, progress or (lambda done, total: None)) if file.url is None else _from_url(file, file.url)
    if file.sha256 is not None and sha256(path) != file.sha256:
        raise UserError(
            f"The file {file.filename} of {file.repo} is damaged or was changed: its SHA-256 checksum is not the "
            f"expected one; delete {path.resolve()} and try again."
        )
    return path


def _from_hub(file: WeightsFile, progress: downloads.Progress) -> Path:
    from huggingface_hub import hf_hub_download

    client.limit_waiting()
    if cached(file) is None and not is_offline():
        _ask_for(file)
    try:
        return Path(
            hf_hub_download(file.repo, file.filename, revision=file.revision, tqdm_class=downloads.bar(progress))
        )
    except Exception as error:  # its own errors, the HTTP client's and the disk's
        raise _download_error(file, error) from error


def _ask_for(file: WeightsFile) -> None:
    """See that the Hub has a file. Asked once, as `hf_hub_download` goes on asking a Hub that is down for 23 s."""
    from httpx2 import TransportError
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(
            hf_hub_url(file.repo, file.filename, revision=file.revision), timeout=client.SECONDS_TO_ANSWER
        )
    except TransportError as error:
        raise UserError(_unreachable(file, "the Hugging Face Hub")) from error
    except Exception as error:
        raise _download_error(file, error) from error


def _download_error(file: WeightsFile, error: Exception) -> UserError:
    what = f"{file.filename} of {file.repo}"
    trouble, cause = find_trouble(error)
    match trouble:
        case Trouble.GATED:
            sentence = f"{what} is behind a form on the Hub; accept it there and give a token in HF_TOKEN."
        case Trouble.NO_REPOSITORY | Trouble.NO_REVISION:
            sentence = f"{what} cannot be had: the Hub shows no such repository or revision; choose another scorer."
        case Trouble.NO_FILE:
            sentence = f"{what} cannot be had: the repository holds no such file; choose another scorer."
        case Trouble.OFFLINE | Trouble.UNREACHABLE:
            sentence = _unreachable(file, "the Hugging Face Hub")
        case Trouble.STORAGE:
            return cache_error(cause, f"The download of {what}")
        case Trouble.REFUSED:
            sentence = status_sentence(http_status(error) or 0, f"{what} is not on this machine")
        case Trouble.BROKEN_OFF:
            sentence = f"The download of {what} broke off; try again, or choose a scorer without a download."
    return UserError(sentence)


def _unreachable(file: WeightsFile, where: str) -> str:
    return (
        f"{file.filename} of {file.repo} is not on this machine and {where} cannot be reached; "
        "connect to the network, or choose a scorer without a download."
    )


def _place(file: WeightsFile) -> Path:
    from huggingface_hub import constants

    return (
        Path(constants.HF_ASSETS_CACHE)
        / "ddpo"
        / file.repo.replace("/", "--")
        / (file.revision or "main")
        / file.filename
    )


def _from_url(file: WeightsFile, url: str) -> Path:
    path = _place(file)
    if path.is_file():
        return path
    try:
        if is_offline():
            raise OSError("offline")
        with urllib.request.urlopen(url, timeout=30) as answer:
            content = answer.read(LARGEST_FROM_URL)
    except urllib.error.HTTPError as error:
        raise UserError(
            f"{file.filename} of {file.repo} could not be downloaded: {url.split('/')[2]} answers with "
            f"HTTP {error.code}; try again later, or choose a scorer without a download."
        ) from error
    except (OSError, HTTPException) as error:  # urllib's other errors, and those of a transfer that breaks
        raise UserError(_unreachable(file, url.split("/")[2])) from error
    if file.sha256 is not None and hashlib.sha256(content).hexdigest() != file.sha256:
        raise UserError(
            f"{file.filename} of {file.repo} did not arrive whole from {url.split('/')[2]}, or was changed there: its "
            "SHA-256 checksum is not the expected one; try again later, or choose another scorer."
        )
    try:
        with replacing(path) as target:
            target.write(content)
    except OSError as error:
        raise storage_error(error, path.parent, f"The download of {file.filename}") from error
    return path

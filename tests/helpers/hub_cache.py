"""The Hub's cache on this machine, with files in it that were never downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

from ddpo.rewards.weights import WeightsFile


def place(file: WeightsFile, cache: Path) -> Path:
    """Where the Hub's client looks for a file in its cache, with the folders for it."""
    commit = file.revision or "1" * 40
    folder = cache / ("models--" + file.repo.replace("/", "--"))
    if file.revision is None:
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
    path = folder / "snapshots" / commit / file.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def put(file: WeightsFile, cache: Path, source: Path) -> Path:
    """Lay a file into the cache as if it had been downloaded."""
    return Path(shutil.copy(source, place(file, cache)))


def put_in_cache(cache: Path, source: str, file: str, commit: str = "1" * 40) -> None:
    """An empty file where huggingface_hub keeps that of a model's commit, which is that of its main branch."""
    folder = cache / ("models--" + source.replace("/", "--"))
    path = folder / "snapshots" / commit / file
    for parent in (path.parent, folder / "refs"):
        parent.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    path.touch()

"""What the source of a model means: a folder on this machine, or an id on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ddpo.common.machine import on_space
from ddpo.common.words import shown
from ddpo.errors import UserError

_PART = r"\w(?:[\w.-]{0,94}\w)?"
_SOURCE = re.compile(rf"(?P<id>{_PART}/{_PART})(?:@(?P<revision>\w(?:[\w./-]{{0,198}}[\w-])?))?", re.ASCII)


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
            f"There is no folder {shown(source)}, nor is it the id of a model on the Hugging Face Hub, which reads "
            "owner/name or owner/name@revision."
        )
    return model


def is_folder(source: str) -> bool:
    """Whether a source is a folder on this machine; on a Space, what reads like an id is one."""
    if not source or (on_space() and parse(source) is not None):  # a stranger must not learn which folders there are
        return False
    try:
        return as_path(source).is_dir()
    except (OSError, ValueError):  # too long for a path, or no text that one may hold
        return False


def absolute(source: str) -> str:
    """The same model as it can be found from any working folder."""
    return str(as_path(source).resolve()) if is_folder(source) else source


def short_name(source: str) -> str:
    """What to call a model where it may be read by anybody: its id, or the name of its folder without the way there."""
    return as_path(source).name if is_folder(source) or parse(source) is None else source

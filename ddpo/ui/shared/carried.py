"""The settings that a PNG of this app carries (`comparison/files.py`), as text that somebody may have changed."""

from __future__ import annotations

import json
from typing import IO, Any
from urllib.parse import urlencode

from PIL import Image

FIELDS = (
    "pair",
    "scheduler",
    "steps",
    "eta",
    "samples",
    "seed",
    "scorer",
    "base",
    "tuned",
)  # of a comparison's address
FACTS = ("model", "seed", "score", "scorer")  # of the picture itself
LONGEST = 500  # characters of a value; what is longer was not written here
LONGEST_SETTINGS = 10_000


def carried(file: IO[bytes]) -> dict[str, str] | None:
    """What a picture says of itself, by name, with the settings by `settings.<name>`; None where it says nothing.

    Args:
        file: of a picture that could be opened.
    """
    try:
        file.seek(0)
        with Image.open(file, formats=("PNG",)) as picture:
            info = {name: value for name, value in picture.info.items() if isinstance(value, str)}
        if info.get("Software") != "ddpo-studio" or len(info.get("settings", "")) > LONGEST_SETTINGS:
            return None
        settings = json.loads(info["settings"])
        found = {name: info[name] for name in FACTS if name in info}
        found |= {f"settings.{name}": text for name in FIELDS if (text := _text(settings.get(name))) is not None}
    except (OSError, ValueError, KeyError, AttributeError, SyntaxError, RecursionError):
        return None
    return {name: text for name, text in found.items() if len(text) <= LONGEST}


def address(found: dict[str, str]) -> str:
    """The address that fills the fields of a comparison with these settings; it is checked where it is read."""
    prefix = "settings."
    return "?" + urlencode({name.removeprefix(prefix): text for name, text in found.items() if name.startswith(prefix)})


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None

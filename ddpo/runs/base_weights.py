"""Which weights a run began from, so that a base that has changed since is not taken for them.

The bundled base is made anew now and then, and a model of one's own may be trained further in its folder. The result of
an older run is whole without its base; but going on with it, or comparing it, would measure against the wrong one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ddpo.common.files import FileCache
from ddpo.diffusion.catalogue import ASSETS, current_base
from ddpo.errors import UserError
from ddpo.hub import ids

if TYPE_CHECKING:
    from ddpo.runs.folder import Run

FILES = tuple(
    Path(folder, f"diffusion_pytorch_model.{kind}") for folder in ("unet", ".") for kind in ("safetensors", "bin")
)
UNRECORDED = "7e9239c8"  # the bundled base of all runs from before the fingerprint was put down


def fingerprint(source: str) -> str | None:
    """Eight hexadecimal digits of the SHA-256 of a model's weights.

    Args:
        source: folder of a model. Of an id on the Hub, or a folder without weights in one file, nothing is known: None.
    """
    folder = ids.as_path(source)
    path = next((folder / file for file in FILES if (folder / file).is_file()), None)
    try:
        return _fingerprints.get(path) if path else None
    except OSError:
        return None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]


_fingerprints = FileCache(_read, most=100)


def other_base(run: Run) -> str | None:
    """A sentence where a run began from other weights than its base has now; None where it has the same."""
    source = current_base(run.spec.pair, run.spec.base)
    bundled = Path(source).is_relative_to(ASSETS)
    began, now = run.base_weights or (UNRECORDED if bundled else None), fingerprint(source)
    if began is None or now is None or began == now:
        return None
    name = run.spec.pair or ids.short_name(source)
    return (
        f"This run belongs to another base: it began from weights {began}, and {name} has {now} now. Its result still "
        "draws as it did, but a gain over today's base says little."
    )


def need_same_base(run: Run) -> None:
    """Make sure that a run can go on.

    Raises:
        UserError: it began from other weights than its base has now.
    """
    if sentence := other_base(run):
        raise UserError(f"{sentence} It cannot be trained further; start a new run.")

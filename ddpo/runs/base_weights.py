"""Which weights a run began from, so that a base that has changed since is not taken for them.

The bundled base is made anew now and then, and a model of one's own may be trained further in its folder. The result of
an older run is whole without its base; but going on with it, or comparing it, would measure against the wrong one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ddpo.common.files import FileCache, sha256
from ddpo.diffusion.catalogue import ASSETS, current_base
from ddpo.diffusion.network import find_part
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.hub.downloads import WEIGHTS

if TYPE_CHECKING:
    from ddpo.runs.folder import Run

UNRECORDED = "7e9239c8"  # the bundled base of all runs from before the fingerprint was put down


def fingerprint(source: str) -> str | None:
    """Eight hexadecimal digits of the SHA-256 of a model's weights.

    Args:
        source: folder of a model. Of an id on the Hub, or a folder without weights in one file, nothing is known: None.
    """
    try:
        path = find_part(ids.as_path(source), "unet", *WEIGHTS)
        return _fingerprints.get(path) if path else None
    except OSError:
        return None


_fingerprints = FileCache(lambda path: sha256(path)[:8], most=100)


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

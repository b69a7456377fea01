"""Where runs are kept, and whether they outlive a Space: its own disk is emptied whenever it restarts.

https://huggingface.co/docs/hub/spaces-storage (August 2026): what shall last lies in a storage bucket that is attached
to the Space as a volume, at a path that the owner chooses.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ddpo.common.machine import on_space
from ddpo.common.storage import Mount, bucket_mounts, mount_of

LEGACY = Path("/data/runs")  # on a Space that still has the persistent storage of before
HOW_TO_KEEP = "To keep them, attach a storage bucket in the Space's settings, with write access; this app finds it"


@dataclass(frozen=True)
class RunsPlace:
    """The folder of runs."""

    folder: Path
    mount: Mount | None  # the bucket that it lies in
    sentence: str  # for the page; "" where there is nothing to be said


def runs_place() -> RunsPlace:
    """The folder that $DDPO_RUNS names; else, on a Space, `runs` in a bucket that is mounted; else `runs` here."""
    named, here_is_a_space = os.environ.get("DDPO_RUNS"), on_space()
    if named:
        return _named(Path(named).expanduser(), here_is_a_space)
    if not here_is_a_space:
        return RunsPlace(Path("runs"), None, "")
    found = bucket_mounts()
    usable = [mount for mount in found if _can_write(mount)]
    if usable:
        mount = next((mount for mount in usable if (mount.folder / "runs").is_dir()), usable[0])
        return RunsPlace(mount.folder / "runs", mount, _kept(mount, mount.folder / "runs", len(usable)))
    if LEGACY.is_dir() and os.access(LEGACY, os.W_OK):
        return RunsPlace(LEGACY, None, f"Runs are kept in {LEGACY}.")
    return RunsPlace(Path("runs"), None, _vanish(found))


def _named(folder: Path, here_is_a_space: bool) -> RunsPlace:
    mount = mount_of(folder)
    if mount is not None and mount.is_remote:
        said = (
            _kept(mount, folder)
            if mount.writable
            else f"The bucket mounted at {mount.folder} is read-only; "
            + ("attach it with write access, or name another folder in DDPO_RUNS.")
        )
        return RunsPlace(folder, mount, said)
    if here_is_a_space and (mount is None or mount.folder == Path("/")):
        said = f"Runs are kept in {folder} and vanish with this Space when it restarts, as that is in no bucket. "
        return RunsPlace(folder, None, f"{said}{HOW_TO_KEEP} once DDPO_RUNS is not set, or names a folder in it.")
    return RunsPlace(folder, None, f"Runs are kept in {folder}." if here_is_a_space else "")


def _can_write(mount: Mount) -> bool:
    try:
        return mount.writable and os.access(mount.folder, os.W_OK)
    except OSError:
        return False


def _kept(mount: Mount, folder: Path, choice: int = 1) -> str:
    more = f" It is one of {choice}; DDPO_RUNS chooses another." if choice > 1 else ""
    return f"Runs are kept in the bucket mounted at {mount.folder}, in {folder}.{more}"


def _vanish(read_only: list[Mount]) -> str:
    if read_only:
        return (
            f"Runs vanish with this Space when it restarts: the bucket mounted at {read_only[0].folder} is read-only. "
            "To keep them, attach it with write access."
        )
    return f"Runs vanish with this Space when it restarts. {HOW_TO_KEEP}."

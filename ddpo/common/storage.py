"""What the file system below a folder can be trusted with, found out by trying.

A storage bucket that is mounted into a Space or a job is an object store behind FUSE or NFS. Hugging Face's own mount
(https://github.com/huggingface/hf-mount, its README of 2026) sends a file whole when it is closed, refuses to append,
answers fsync without doing anything, and knows of locks only within one mount. A process that is killed closes its
files too, so what it was writing arrives torn. Other such mounts refuse renames as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MOUNTS = Path("/proc/mounts")
PATIENCE = 30.0  # seconds until what was written must be there to read; hf-mount shows changes within 10
FIRST_PAUSE = 0.05  # seconds between the first two looks at what was written; each pause is twice the one before
FULL = (errno.ENOSPC, errno.EDQUOT)
LOCAL_FUSE = ("fuseblk", "fuse.fuse-overlayfs", "fuse.lxcfs", "fuse.gocryptfs", "fuse.encfs")


@dataclass(frozen=True)
class Mount:
    """A line of /proc/mounts."""

    device: str
    folder: Path
    kind: str  # of file system: "ext4", "fuse", "nfs"
    options: tuple[str, ...]

    @property
    def writable(self) -> bool:
        """Whether it was mounted to be written to."""
        return "rw" in self.options

    @property
    def is_remote(self) -> bool:
        """Whether it is an object store, or like one: a lock is known to this mount alone, and others see it late."""
        if self.kind.startswith("fuse") and self.kind != "fusectl":
            return self.kind not in LOCAL_FUSE
        if self.kind in ("nfs", "nfs4"):
            server = self.device.partition(":")[0]
            return bool({"nolock", "local_lock=all", "local_lock=flock"} & {*self.options}) or server == "127.0.0.1"
        return False


@dataclass(frozen=True)
class Storage:
    """What works in a folder; what does not is done in another way."""

    remote: bool = False  # an object store, seen by other machines through mounts of their own
    renames: bool = True  # a file takes another's place in one step
    appends: bool = True
    syncs: bool = True  # fsync is not refused
    locks: bool = True  # flock holds off another process

    @property
    def plain(self) -> bool:
        """Whether this is a disk like any other, on which everything works."""
        return not self.remote and self.renames and self.appends and self.syncs and self.locks

    @property
    def uses_leases(self) -> bool:
        """Whether the right to train is a lease that is renewed, not a lock."""
        return self.remote or not self.locks

    @property
    def uses_parts(self) -> bool:
        """Whether metrics are written as one file after another, not as lines behind each other."""
        return self.remote or not self.appends

    def describe(self) -> str:
        """One sentence on what is done here in another way than on a disk; "" on a disk."""
        if self.plain:
            return ""
        ways = [
            "files are read back after writing" if self.renames else "files are written whole, twice, and read back",
            "a lease stands for the lock" if self.uses_leases else "",
            "metrics are kept in parts" if self.uses_parts else "",
        ]
        what = "This is an object store or like one" if self.remote else "This disk does not do all that is asked of it"
        return f"{what}: {', '.join(filter(None, ways))}."


PLAIN = Storage()
_probed: dict[tuple[Path, int], Storage] = {}  # a mount does not change while it is mounted


def storage_of(folder: Path) -> Storage:
    """What works in a folder, tried once in this process; where that fails, the most careful guess.

    Reading needs none of this, so a page that only looks does not write anything here.
    """
    try:
        return probe(folder)
    except OSError:
        mount = mount_of(folder)
        return Storage(True, False, False, False, False) if mount and mount.is_remote else PLAIN


def probe(folder: Path) -> Storage:
    """Try what works in a folder, which is made where it is missing. The result is kept for this process.

    Raises:
        OSError: nothing can be written there at all, or not be read back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = (folder.resolve(), folder.stat().st_dev)
    if key not in _probed:
        _probed[key] = _try_all(folder)
    return _probed[key]


def _try_all(folder: Path) -> Storage:
    mount = mount_of(folder)
    path = folder / f".probe-{secrets.token_hex(4)}"
    try:
        path.write_bytes(b"one\n")
        confirm(path, lambda: path.read_bytes() == b"one\n")
        return Storage(
            remote=mount is not None and mount.is_remote,
            renames=_works(lambda: _renames(path)),
            appends=_works(lambda: _appends(path)),
            syncs=_works(lambda: _syncs(path)),
            locks=_works(lambda: _locks(path)),
        )
    finally:
        for left in (path, path.with_name(path.name + ".other")):
            with suppress(OSError):
                left.unlink()


def _works(attempt: Callable[[], bool]) -> bool:
    try:
        return attempt()
    except OSError as error:
        if error.errno in FULL:  # says nothing of what works there
            raise
        return False


def _renames(path: Path) -> bool:
    other = path.with_name(path.name + ".other")
    other.write_bytes(b"two\n")
    other.replace(path)
    return path.read_bytes() == b"two\n" and not other.exists()


def _appends(path: Path) -> bool:
    before = path.read_bytes()
    with path.open("a+b", buffering=0) as file:
        file.write(b"three\n")
    return path.read_bytes() == before + b"three\n"


def _syncs(path: Path) -> bool:
    with path.open("wb") as file:
        file.write(b"four\n")
        file.flush()
        os.fsync(file.fileno())
    return True


def _locks(path: Path) -> bool:
    """Whether a second handle is refused what a first one holds: a lock that everybody gets is none."""
    with path.open("rb") as first, path.open("rb") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def confirm(path: Path, is_there: Callable[[], bool], patience: float | None = None) -> None:
    """Wait until what was written can be read back.

    Args:
        path: what was written.
        is_there: reads it, and tells whether it is what was written; may raise OSError while it is not there.
        patience: seconds; PATIENCE by default.

    Raises:
        OSError: it could not be read back in time.
    """
    for _ in _looks(PATIENCE if patience is None else patience):
        if _works(is_there):
            return
    raise OSError(None, "what was written could not be read back", str(path))


def open_new(path: Path, storage: Storage) -> IO[bytes]:
    """A file to write to, made or emptied.

    A mount that sees a removal late opens the file that is gone, instead of making one: it is asked again.

    Raises:
        OSError: the folder is missing, or the storage refuses.
    """
    for _ in _looks(0 if storage.plain else PATIENCE):
        try:
            return path.open("wb")
        except FileNotFoundError as error:
            missing = error
            if not path.parent.is_dir():
                break
    raise missing


def _looks(patience: float) -> Iterator[None]:
    """The first look at once, and others after pauses that grow, until so many seconds are over."""
    deadline, pause = time.monotonic() + patience, FIRST_PAUSE
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def mounts() -> list[Mount]:
    """All that is mounted, in the order in which it was; [] where the system does not tell."""
    try:
        return parse_mounts(MOUNTS.read_text(errors="replace").splitlines())
    except OSError:
        return []


def parse_mounts(lines: Iterable[str]) -> list[Mount]:
    """The mounts that lines of /proc/mounts tell of. A blank in a name stands there as \\040, other bytes likewise."""
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) >= 4:
            device, folder, kind, options = map(_unescape, fields[:4])
            found.append(Mount(device, Path(folder), kind, tuple(options.split(","))))
    return found


def _unescape(text: str) -> str:
    for code in ("040", "011", "012", "134"):  # the backslash last
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text


def mount_of(folder: Path) -> Mount | None:
    """The mount that a folder, or the nearest one above it that exists, lies on."""
    place = folder.resolve()
    holding = [mount for mount in mounts() if place.is_relative_to(mount.folder)]
    holding.reverse()  # of two in the same place the later one is seen
    return max(holding, key=lambda mount: len(mount.folder.parts), default=None)


def bucket_mounts() -> list[Mount]:
    """Mounts that may be storage buckets, Hugging Face's own first, each a folder; read-only ones included."""
    system = ("/proc", "/sys", "/dev", "/run", "/etc")
    found = [
        mount
        for mount in mounts()
        if mount.is_remote
        and mount.folder != Path("/")
        and not str(mount.folder).startswith(system)
        and _works(mount.folder.is_dir)  # a mount whose server is gone raises
    ]
    return sorted(found, key=lambda mount: ("hf-mount" not in mount.device, str(mount.folder)))

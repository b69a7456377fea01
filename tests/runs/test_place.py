"""Where runs are kept, as the page says it: in which bucket, or that they vanish with the Space."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddpo.common import storage
from ddpo.runs.place import runs_place
from ddpo.ui.train import views
from tests.helpers.object_store import mounted_bucket


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not in /dev/shm, where the folders of other tests are: no bucket is looked for below /dev."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("line", "remote"),
    [
        ("hf-mount /data fuse rw,nosuid,nodev,relatime,user_id=0 0 0", True),
        ("127.0.0.1:/ /data nfs rw,vers=3,nolock,port=39001 0 0", True),
        ("filer:/home /home nfs4 rw,vers=4.2,local_lock=none 0 0", False),
        ("s3fs /mnt/my\\040bucket fuse.s3fs ro,relatime 0 0", True),
        ("/dev/sdb1 /mnt fuseblk rw 0 0", False),
        ("fusectl /sys/fs/fuse/connections fusectl rw 0 0", False),
        ("overlay / overlay rw,lowerdir=a 0 0", False),
        ("tmpfs /dev/shm tmpfs rw 0 0", False),
    ],
)
def test_mounts_are_told_apart(line: str, remote: bool) -> None:
    (mount,) = storage.parse_mounts([line, "torn"])
    assert mount.is_remote == remote and mount.writable == (" ro," not in line)
    assert "my bucket" in str(mount.folder) or "\\" not in line


def place_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mounts: list[str], **variables: str
) -> tuple[Path, str]:
    table = tmp_path / "mounts"
    table.write_text("".join(f"{line} 0 0\n" for line in ["/dev/vda / ext4 rw", *mounts]))
    monkeypatch.setattr(storage, "MOUNTS", table)
    for name in ("DDPO_RUNS", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    place = runs_place()
    return place.folder, place.sentence


def test_the_page_names_the_bucket_or_says_that_runs_vanish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    here, space = Path("runs"), {"SPACE_ID": "me/space"}

    def said(*mounts: str, **variables: str) -> tuple[Path, str]:
        return place_said(monkeypatch, tmp_path, list(mounts), **variables)

    assert said() == (here, "")
    folder, sentence = said(**space)
    assert (
        folder == here and sentence.startswith("Runs vanish with this Space") and "attach a storage bucket" in sentence
    )
    folder, sentence = said(f"hf-mount {one} fuse rw,nosuid", f"lxcfs {other} fuse.lxcfs rw", **space)
    assert folder == one / "runs" and sentence == f"Runs are kept in the bucket mounted at {one}, in {one / 'runs'}."
    (other / "runs").mkdir()
    folder, sentence = said(f"hf-mount {one} fuse rw", f"hf-mount {other} fuse rw", **space)
    assert folder == other / "runs" and "one of 2; DDPO_RUNS chooses another" in sentence
    folder, sentence = said(f"hf-mount {one} fuse ro", **space)
    assert folder == here and f"mounted at {one} is read-only" in sentence
    folder, sentence = said(f"hf-mount {one} fuse rw", **space, DDPO_RUNS=f"{one}/mine")
    assert folder == one / "mine" and f"in the bucket mounted at {one}, in {one}/mine." in sentence
    folder, sentence = said(f"hf-mount {one} fuse rw", **space, DDPO_RUNS="/somewhere")
    assert (
        folder == Path("/somewhere") and "vanish with this Space when it restarts, as that is in no bucket" in sentence
    )
    assert said(DDPO_RUNS="/somewhere") == (Path("/somewhere"), "")
    assert said(f"hf-mount {one} fuse rw") == (here, "")  # on a machine of one's own, no mount is taken unasked


def test_a_bucket_that_is_really_mounted_is_found_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDPO_RUNS", raising=False)
    monkeypatch.setenv("SPACE_ID", "me/space")
    with mounted_bucket(tmp_path / "a b") as bucket:
        shown = str(bucket.folder).replace(" ", "\\040")
        ours = [line for line in storage.MOUNTS.read_text().splitlines() if shown in line]
        (tmp_path / "mounts").write_text("\n".join(ours))  # other tests mount buckets at the same time
        monkeypatch.setattr(storage, "MOUNTS", tmp_path / "mounts")
        assert len(ours) == 1 and runs_place().folder == bucket.folder / "runs"
        assert f"mounted at {bucket.folder}, in" in views.place_line()

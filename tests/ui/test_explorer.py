"""Many pictures at once: what is read of them and of zips, what is skipped and why, and what the table says."""

from __future__ import annotations

import csv
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ddpo.comparison import saved
from ddpo.comparison.files import png_bytes
from ddpo.comparison.rescore import at_hand
from ddpo.ui import explorer, score
from ddpo.ui.shared import carried, many, uploads
from ddpo.ui.shared.sent import AnyFiles
from ddpo.ui.shared.uploads import open_upload
from tests.hostile.pictures import PICTURES
from tests.hostile.pictures import saved as picture_bytes


@pytest.fixture(autouse=True)
def uploads_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uploads, "own_folder", lambda: tmp_path / "kept")


def zipped(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> str:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return str(path)


def read(path: str) -> list[many.Found]:
    return list(many.read([path]))


def own_png(**changes: Any) -> bytes:
    result = saved.bundled()
    assert result is not None
    return png_bytes(result.tuned_images[2], result, "tuned", 2)


def test_pictures_in_a_zip_are_read_and_the_others_are_named(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "pictures.zip",
        {
            "a/one.png": picture_bytes("PNG"), "two.jpg": picture_bytes("JPEG"),
            "turned.jpg": PICTURES["turned by its camera"].make(), "broken.png": picture_bytes("PNG")[:80],
            "notes.txt": b"no picture", "empty.png": b"", "__MACOSX/one.png": b"x", "a/.DS_Store": b"x",
            "inner.zip": b"PK\3\4 inner", "folder/": b"",
        },
    )  # fmt: skip
    found = {entry.name.partition(": ")[2]: entry for entry in read(path)}
    assert {name for name, entry in found.items() if entry.picture} == {"one.png", "two.jpg", "turned.jpg"}
    assert found["turned.jpg"].picture.size == (20, 40)  # type: ignore[union-attr]
    problems = {name: entry.problem for name, entry in found.items() if entry.problem}
    assert {*problems} == {"broken.png", "notes.txt", "empty.png", "inner.zip"}
    assert all(problem.endswith(".") for problem in problems.values())


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.png", "/etc/x.png", "C:\\x.png", "a\nb\x1b[31m.png", "x" * 300 + ".png"]
)
def test_names_in_a_zip_are_for_reading_only(tmp_path: Path, name: str) -> None:
    before = {*tmp_path.parent.rglob("*")}
    (found,) = read(zipped(tmp_path / "names.zip", {name: picture_bytes("PNG")}))
    assert found.picture and len(found.name) <= many.LONGEST_NAME and found.name.isprintable()
    assert {*tmp_path.parent.rglob("*")} - before == {tmp_path / "names.zip"}


def test_a_zip_bomb_is_stopped_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {f"{place}.png": bytes(30_000_000) for place in range(40)})
    tracemalloc.start()
    found = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000 and len(found) < 25
    assert "larger than 10 MB" in found[0].problem and "unpacks to more than 200 MB" in found[-1].problem


def test_what_a_zip_claims_of_itself_is_not_believed(tmp_path: Path) -> None:
    path = Path(zipped(tmp_path / "lies.zip", {"a.png": bytes(20_000_000)}))
    content = bytearray(path.read_bytes())
    place = content.rfind(b"PK\1\2")
    content[place + 24 : place + 28] = struct.pack("<I", 100)  # its size once unpacked
    path.write_bytes(content)
    (found,) = read(str(path))
    assert found.picture is None and found.problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[:-30], "damaged|too many"),
        (lambda content: content[:40], "damaged"),
        (lambda content: content.replace(b"PK\5\6", b"PK\6\7" + bytes(16) + b"PK\5\6"), "4 GB"),
        (lambda content: content[:-10] + struct.pack("<I", 5_000_000) + content[-6:], "too many files"),
    ],
)
def test_a_damaged_or_huge_zip_is_refused_in_a_sentence(tmp_path: Path, change: Any, words: str) -> None:
    import re

    path = Path(zipped(tmp_path / "damaged.zip", {"a.png": picture_bytes("PNG")}))
    path.write_bytes(change(path.read_bytes()))
    (found,) = read(str(path))
    assert found.picture is None and re.search(words, found.problem), found.problem


def test_no_more_than_so_many_are_read(tmp_path: Path) -> None:
    content = picture_bytes("PNG", (16, 16))
    found = read(zipped(tmp_path / "many.zip", {f"{place:04d}.png": content for place in range(100)}))
    assert sum(entry.picture is not None for entry in found) == many.MOST_PICTURES
    assert "64 files are scored at once" in found[-1].problem
    found = read(zipped(tmp_path / "more.zip", {f"{place:04d}.txt": b"" for place in range(1001)}))
    assert "more than 1,000 files" in found[-1].problem


def answers(*paths: str, scorer: str = "photographic") -> tuple[str, str, str]:
    *_, (status, table, download) = explorer._on_many([*paths], scorer, "", "")
    return status, table, Path(download["value"]).read_text(encoding="utf-8")


def test_the_table_scores_by_all_and_tells_the_place_among_samples(tmp_path: Path) -> None:
    (tmp_path / "drawn.png").write_bytes(own_png())
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "=navy.png")
    (tmp_path / "no.png").write_bytes(b"nothing")
    status, table, lines = answers(*(str(tmp_path / name) for name in ("drawn.png", "=navy.png", "no.png")))
    assert "2 scored, 1 skipped" in status and "no.png" in status
    assert table.count("<tr>") == 3 and table.count('class="sort"') == 2 + len(at_hand())
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(lines))}
    assert float(rows["drawn.png"]["photographic"]) == pytest.approx(saved.bundled().tuned_scores[2], abs=1e-4)  # type: ignore[union-attr]
    assert "'=navy.png" in rows and rows["no.png"]["problem"] and not rows["no.png"]["photographic"]


def test_the_place_is_the_share_of_samples_below() -> None:
    base, tuned = explorer.samples("photographic")
    assert len(base) == len(tuned) == 8
    assert explorer.place(0.0, "photographic") == (0, 0) and explorer.place(99.0, "photographic") == (1, 1)
    middle = explorer.place(sorted(tuned)[4], "photographic")
    assert middle is not None and middle[1] == 0.5 and middle[0] > 0.5


def test_a_picture_of_this_app_offers_its_settings() -> None:
    found = carried.carried(io.BytesIO(own_png()))
    assert found is not None and found["model"] == "tuned" and found["seed"] == "2"
    query = parse_qs(carried.address(found).removeprefix("?"))
    assert query == {
        "pair": ["church-64"], "scheduler": ["ddim"], "steps": ["50"], "eta": ["0.0"], "samples": ["8"], "seed": ["0"],
        "scorer": ["photographic"],
    }  # fmt: skip
    assert "Use these settings" in explorer.use_settings(found)


def forged(**text: str) -> bytes:
    info, buffer = PngInfo(), io.BytesIO()
    for name, value in text.items():
        info.add_text(name, value)
    Image.new("RGB", (16, 16)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "settings",
    ["", "{", "[]", "3", "null", '"x"', json.dumps({"pair": "x" * 20_000}), "[" * 5000, json.dumps({"pair": {"a": 1}})],
)
def test_settings_that_were_not_written_here_do_no_harm(settings: str) -> None:
    found = carried.carried(io.BytesIO(forged(Software="ddpo-studio", settings=settings)))
    assert not found or carried.address(found) == "?"


def test_what_a_picture_says_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    content = forged(Software="ddpo-studio", model=evil, settings=json.dumps({"pair": evil, "seed": 1}))
    found = carried.carried(io.BytesIO(content))
    shown = explorer.use_settings(found)
    assert "<script" not in shown and "&lt;script" in shown and "pair=%22%3E%3Cscript" in shown
    assert carried.carried(io.BytesIO(forged(Software="other", settings="{}"))) is None


def test_the_single_score_tells_why_and_its_settings(tmp_path: Path) -> None:
    (tmp_path / "drawn.png").write_bytes(own_png())
    (card,) = score._on_score(str(tmp_path / "drawn.png"), "photographic", "", "")
    assert "Why this score" in card and "sharpness" in card and "Use these settings" in card
    (other,) = score._on_score(str(tmp_path / "drawn.png"), "colourfulness", "", "")
    assert "Why this score" not in other


def test_nothing_uploaded_is_said_and_files_of_others_cannot_be_named() -> None:
    nothings: list[Any] = [[], None, "x", {"a": 1}]
    for nothing in nothings:
        with pytest.raises(gr.Error, match="No pictures were uploaded"):
            list(explorer._on_many(nothing, "photographic", "", ""))
    others: list[Any] = [["/etc/passwd"], [{"path": "/etc/passwd"}], {"path": "/etc/passwd"}, "x", None, [3]]
    for sent in others:
        assert AnyFiles.model_validate(sent).root == []
    marked = {"path": "/tmp/x", "meta": {"_type": "gradio.FileData"}}
    assert [file.path for file in AnyFiles.model_validate([marked, 7]).root] == ["/tmp/x"]


@pytest.mark.parametrize(
    ("mode", "level", "expected"),
    [
        ("I;16", 32768, 128),
        ("LA", (0, 0), 255),
        ("RGBA", (0, 0, 0, 0), 255),
        ("RGBA", (9, 9, 9, 255), 9),
        ("1", 1, 255),
    ],
)
def test_modes_look_as_they_do_on_a_page(tmp_path: Path, mode: str, level: Any, expected: int) -> None:
    Image.new(mode, (32, 32), level).save(tmp_path / "picture.png")
    pixel = open_upload(str(tmp_path / "picture.png")).getpixel((5, 5))
    assert pixel == (expected,) * 3


def test_a_batch_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was scored is not kept: only its thumbnail."""
    seen: list[int] = []

    def scored(pictures: Any, scorers: Any) -> list[dict[str, float]]:
        seen.append(len(pictures))
        return [{"photographic": 1.0} for _ in pictures]

    monkeypatch.setattr(explorer, "score_many", scored)
    content = picture_bytes("PNG", (16, 16))
    path = zipped(tmp_path / "many.zip", {f"{place}.png": content for place in range(10)})
    states: Iterator[list[Any]] = explorer._on_many([path], "photographic", "", "")
    assert len(list(states)) == 5 and max(seen) == explorer.BATCH and sum(seen) == 10

"""Whatever is uploaded is read, or refused in a sentence; in bounded time and memory."""

from __future__ import annotations

import asyncio
import http.server
import io
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ddpo.errors import UserError
from ddpo.ui.shared import uploads
from ddpo.ui.shared.uploads import LARGEST_SIDE, open_upload
from tests.hostile.pictures import PICTURES, png, saved

SECONDS = 5.0
PEAK = 600 << 20  # bytes above what the process had
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sentence_of(path: Path) -> str | None:
    """What is said of a file; None where it was read, and is a picture of the promised kind."""
    try:
        picture = open_upload(str(path))
    except UserError as error:
        sentence = str(error)
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 300 and str(path) not in sentence
        return sentence
    assert picture.mode == "RGB" and min(picture.size) >= 1 and max(picture.size) <= LARGEST_SIDE
    return None


@pytest.mark.parametrize("name", PICTURES)
def test_every_upload_is_read_or_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    import re

    path = tmp_path / "upload.png"
    path.write_bytes(PICTURES[name].make())
    assert path.stat().st_size < 1 << 20
    begun, before = time.monotonic(), peak()
    sentence, words = sentence_of(path), PICTURES[name].words
    assert (sentence is None) == (words is None), sentence
    if words is not None and sentence is not None:
        assert re.search(words, sentence), sentence
    assert time.monotonic() - begun < SECONDS and peak() - before < PEAK


def test_a_picture_is_turned_upright_and_keeps_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "upload.jpg"
    path.write_bytes(PICTURES["turned by its camera"].make())
    assert open_upload(str(path)).size == (20, 40)
    path.write_bytes(png(2, 1, bytes([0, 255, 0, 0, 0, 0, 255])))
    assert [open_upload(str(path)).getpixel(place) for place in ((0, 0), (1, 0))] == [(255, 0, 0), (0, 0, 255)]


def test_an_upload_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    assert "upload it again" in str(sentence_of(tmp_path / "gone.png"))
    assert "cannot be read" in str(sentence_of(tmp_path))


@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_no_change_of_bytes_in_a_picture_makes_more_than_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, int]]
) -> None:
    content = bytearray(saved(kind, (24, 16)))
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(content)
    sentence_of(path)


@given(st.binary(max_size=400))
def test_no_bytes_at_all_make_more_than_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random"
    path.write_bytes(content)
    sentence_of(path)


class _Answers(http.server.BaseHTTPRequestHandler):
    """/endless never ends, /packed is packed, /away leads on for ever, /missing is not there, /picture is a picture."""

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/away")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
        try:
            for _ in range(200 if self.path == "/endless" else 0):
                self.wfile.write(bytes(1 << 20))
            if self.path == "/picture":
                self.wfile.write(saved("PNG"))
        except OSError:
            pass

    def log_message(self, *_: object) -> None: ...


@contextmanager
def answering() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_at_an_address_is_read_up_to_the_size_of_an_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safehttpx

    with answering() as address:
        with pytest.raises(UserError, match="leads nowhere"):  # an address of this machine
            asyncio.run(uploads.fetch(f"{address}/picture", str(tmp_path)))

        async def lenient(_: str) -> str:
            return "127.0.0.1"

        monkeypatch.setattr(safehttpx, "async_validate_url", lenient)
        before = peak()
        for path, words in (("endless", "larger than 10 MB"), ("away", "leads on"), ("missing", "HTTP 404")):
            with pytest.raises(UserError, match=words):
                asyncio.run(uploads.fetch(f"{address}/{path}", str(tmp_path)))
        assert peak() - before < 64 << 20 and not list(tmp_path.iterdir())
        found = asyncio.run(uploads.fetch(f"{address}/picture", str(tmp_path)))
        assert Image.open(io.BytesIO(Path(found).read_bytes())).size == (64, 64)


def test_the_uploads_of_an_app_that_was_killed_go_when_the_next_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    killed = tmp_path / f"{uploads.FOLDER}killed"
    killed.mkdir()
    (killed / "upload.png").write_bytes(b"of a visitor")
    (killed / uploads.LOCK).write_text('{"pid": 1}')  # a moment ago, and held by nobody
    older, begun = (tmp_path / f"{uploads.FOLDER}{name}" for name in ("older", "begun"))
    older.mkdir()
    os.utime(older, (1, 1))
    begun.mkdir()
    (begun / uploads.LOCK).touch()  # its app is about to take the lock
    own = uploads.own_folder.__wrapped__()
    os.utime(own, (1, 1))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    another = uploads.own_folder.__wrapped__()
    assert (
        not killed.exists()
        and not older.exists()
        and begun.is_dir()
        and own.is_dir()
        and another.is_dir()
        and own != another
    )

"""Weights are fetched once, known by their checksum, and what goes wrong on the way is said in a sentence."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from ddpo.errors import UserError
from ddpo.rewards import RewardSpec, weights
from ddpo.rewards.weights import WeightsFile, cached, fetch
from tests.helpers.here import ROOT
from tests.helpers.hub_cache import place

CONTENT = b"the weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT as head.pth, whole or not, and for other paths the Hub's errors: /<owner>/<status>-<code>/..."""

    def do_GET(self) -> None:
        found = self.path == "/head.pth" or self.path.startswith(("/cut/", "/changed/"))
        if self.path.startswith("/garbage/"):
            self.wfile.write(b"no answer of HTTP")
            return
        status, _, code = ("200", "", "") if found else self.path.split("/")[2].partition("-")
        self.send_response(int(status))
        if code:
            self.send_header("X-Error-Code", code)
        content = CONTENT if found else b""
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.path.startswith("/changed/"):
            content = content[::-1]
        self.wfile.write(content[:-1] if self.path.startswith("/cut/") else content)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    running = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever, args=(0.05,))
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return tmp_path / "hub"


def at(server: HTTPServer, sha256: str | None = SHA256) -> WeightsFile:
    return WeightsFile("a/b", "head.pth", 0.1, "c" * 40, sha256, f"http://127.0.0.1:{server.server_port}/head.pth")


def test_a_file_at_an_address_is_fetched_once(server: HTTPServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    file = at(server)
    assert cached(file) is None
    path = fetch(file)
    assert path.read_bytes() == CONTENT and cached(file) == path
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(file) == path


def test_an_address_that_cannot_be_reached_or_refuses_is_named(
    server: HTTPServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = at(server)
    with pytest.raises(UserError, match=r"not on this machine and 127\.0\.0\.1:\d+ cannot be reached"):
        fetch(file)  # offline: it does not even ask
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    file = WeightsFile("a/b", "head.pth", 0.1, url=f"http://127.0.0.1:{server.server_port}/a/404/head.pth")
    with pytest.raises(UserError, match=r"could not be downloaded: 127\.0\.0\.1:\d+ answers with HTTP 404"):
        fetch(file)
    assert cached(file) is None


@pytest.mark.parametrize("path", ["cut/head.pth", "garbage/head.pth", "changed/head.pth"])
def test_what_does_not_arrive_as_it_should_is_not_kept(
    server: HTTPServer, cache: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    file = at(server)
    with pytest.raises(UserError, match=r"did not arrive whole|cannot be reached"):
        fetch(replace(file, url=str(file.url).replace("head.pth", path)))
    assert cached(file) is None and fetch(file).read_bytes() == CONTENT


def test_a_file_that_was_damaged_since_is_refused_with_its_place(
    server: HTTPServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    file = at(server)
    path = fetch(file)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="damaged or was changed") as caught:
        fetch(file)
    assert str(path.resolve()) in str(caught.value)
    path.unlink()
    assert fetch(file) == path


def test_a_file_in_the_hubs_cache_is_used_and_checked(cache: Path) -> None:
    for file in (WeightsFile("a/b", "x.bin", 1, "d" * 40, SHA256), WeightsFile("a/c", "y.bin", 1, None, SHA256)):
        assert cached(file) is None
        place(file, cache).write_bytes(CONTENT)
        assert fetch(file).read_bytes() == CONTENT and cached(file) == place(file, cache)
        place(file, cache).write_bytes(CONTENT[:-1])
        with pytest.raises(UserError, match="checksum is not the expected one"):
            fetch(file)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("403-GatedRepo", "behind a form on the Hub"),
        ("404-RepoNotFound", "shows no such repository or revision"),
        ("401-RepoNotFound", "shows no such repository or revision"),
        ("404-RevisionNotFound", "shows no such repository or revision"),
        ("404-EntryNotFound", "holds no such file"),
        ("401", "refuses the token, and x.safetensors of someone/401 is not on this machine"),
        ("429", "takes no more requests for now, and x.safetensors of someone/429 is not on this machine"),
        ("503", "is out of order (HTTP 503), and x.safetensors of someone/503 is not on this machine"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(
    server: HTTPServer, tmp_path: Path, answer: str, message: str
) -> None:
    code = (
        "import ddpo.rewards.weights as w\n"
        f"try: w.fetch(w.WeightsFile('someone/{answer}', 'x.safetensors', 1))\n"
        "except w.UserError as error: print(error)"
    )
    settings = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert message in done.stdout and done.stdout.count("\n") == 1


def test_a_reward_tells_what_it_downloads_and_what_is_in_its_way(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (WeightsFile("a/b", "x.bin", 3.0, "d" * 40), WeightsFile("a/b", "y.bin", 4.0, "d" * 40))
    spec = RewardSpec("x", "The x", "", "", (0, 1), "", 2, lambda compute: lambda images: images, files)
    assert spec.download_megabytes == 7
    assert spec.obstacle() == "The weights of The x are not on this machine, and it is set to stay offline."
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert spec.obstacle() is None
    place(files[0], cache).write_bytes(b"")
    assert spec.download_megabytes == 4
    lacking = RewardSpec("x", "The x", "", "", (0, 1), "", 2, spec.load, packages=("no_such_package_anywhere",))
    assert lacking.obstacle() == "The x needs the Python package no_such_package_anywhere, which is not installed."


def test_asking_for_weights_imports_neither_torch_nor_open_clip() -> None:
    code = (
        "import sys, ddpo.rewards as r\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        "[spec.obstacle() for spec in r.REWARDS.values()], r.get('prompt:a sunny day')\n"
        "assert not {'torch', 'open_clip', 'torchvision', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_every_file_is_pinned_but_the_age_classifier_s() -> None:
    files = [value for value in vars(weights).values() if isinstance(value, WeightsFile)]
    assert len(files) == 8
    for file in files:
        pinned = file.repo != "nateraw/vit-age-classifier"
        assert (file.revision is not None) == pinned and (not pinned or len(str(file.revision)) == 40)
        assert file.sha256 is None or len(file.sha256) == 64
        assert file.url is None or (file.url.startswith("https://") and str(file.revision) in file.url)

"""What a stranger learns of the machine: nothing of its folders, and a sentence where Gradio has none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from ddpo.diffusion.network import read_network
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.ui.api import bad_calls
from ddpo.ui.page import MOST_VISITS, build_demo
from ddpo.ui.shared.inputs import Upload
from ddpo.ui.shared.sentences import FULL, NOT_UPLOADED, UNEXPECTED, sentence_for
from ddpo.ui.space import permission
from ddpo.ui.space.asker import Asker
from tests.helpers.answering import answering
from tests.helpers.small_disk import fill, small_disk
from tests.hostile.values import LONG


def test_a_space_does_not_tell_which_folders_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "there").mkdir(parents=True)
    assert ids.is_folder("owner/there")
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    for source in ("owner/there", "owner/away"):
        permission.check_source(source, Asker.VISITOR)
        assert not ids.is_folder(source) and read_network(source).sample_size == 256
    told = set()
    for source in (str(tmp_path / "owner"), str(tmp_path / "away"), "/etc/passwd", "/etc/nothing"):
        with pytest.raises(UserError) as caught:
            permission.check_source(source, Asker.VISITOR)
        told.add(str(caught.value))
    assert len(told) == 1


@pytest.mark.parametrize(
    "source",
    [LONG, "/" + LONG, f"a/{LONG}", f"a/b@{LONG}", "a\0b", "\ud800", "~nobody/x", "a/../b", "", "a" * 300 + "/b"],
)
def test_no_source_is_too_odd_for_a_sentence(source: str) -> None:
    assert not ids.is_folder(source)
    with pytest.raises(UserError) as caught:
        ids.need(source)
    assert len(str(caught.value)) < 400


def test_a_space_shows_no_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    error = UserError("The run could not be written, because the disk that holds /data/of the/runs is full; make room.")
    assert "/data/of" in sentence_for(error)
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    assert sentence_for(UserError("It lies in /home/user/app/runs/x, or at https://hf.co/a/b; and owner/name.")) == (
        "It lies in x, or at https://hf.co/a/b; and owner/name."
    )


@contextmanager
def served(handler: Any, component: gr.components.Component | None = None) -> Iterator[httpx.Client]:
    """A page with one endpoint, served as `serve` has Gradio serve ours."""
    with bad_calls.Page() as page:
        value = component.render() if component else gr.JSON()  # type: ignore[no-untyped-call]
        gr.Button().click(handler, value, gr.JSON(), api_name="it", queue=False)
    handlers = {"exception_handlers": bad_calls.exception_handlers()}
    page.launch(prevent_thread_lock=True, quiet=True, show_error=True, app_kwargs=handlers)
    try:
        with httpx.Client(base_url=str(page.local_url), timeout=30) as client:
            yield client
    finally:
        page.close(verbose=False)


def test_what_goes_wrong_around_a_handler_is_a_sentence_too(caplog: pytest.LogCaptureFixture) -> None:
    def fails(value: Any) -> Any:
        raise RuntimeError("/secret/place is broken")

    with caplog.at_level(logging.ERROR), served(fails) as client:
        answer = client.post("/gradio_api/run/it", json={"data": [1]})
    assert UNEXPECTED in answer.text and "secret" not in answer.text and "secret" in caplog.text


def test_a_file_that_was_not_uploaded_is_refused_without_its_path(tmp_path: Path) -> None:
    reached: list[Any] = []
    told = set()
    (tmp_path / "there.png").write_bytes(b"x")
    with served(reached.append, Upload()) as client:
        for path in (tmp_path / "there.png", tmp_path / "away.png"):
            claim = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
            told.add(client.post("/gradio_api/run/it", json={"data": [claim]}).json()["error"])
    assert told == {NOT_UPLOADED} and not reached


def test_an_address_is_not_read_past_the_size_of_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent as programs send it: Gradio itself would have read it all, into memory."""
    import safehttpx

    sent = [0]
    reached: list[Any] = []

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                for _ in range(100):
                    sent[0] += self.wfile.write(bytes(1 << 20))

        def log_message(self, *_: object) -> None: ...

    async def lenient(_: str) -> str:
        return "127.0.0.1"

    monkeypatch.setattr(safehttpx, "async_validate_url", lenient)
    with answering(Endless) as port, served(reached.append, Upload()) as client:
        claim = {"path": f"http://127.0.0.1:{port}/a.png", "meta": {"_type": "gradio.FileData"}}
        answer = client.post("/gradio_api/run/it", json={"data": [claim]}).json()
    assert "larger than 10 MB" in answer["error"] and not reached and sent[0] < 40 << 20


def test_an_upload_that_the_disk_has_no_room_for_is_answered_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(disk))
        with served(lambda value: value) as client:
            fill(disk)
            answer = client.post("/gradio_api/upload", files={"files": ("a.png", bytes(2_000_000))})
    assert answer.status_code == 507 and answer.json() == {"detail": FULL}


def test_what_gradio_remembers_of_visits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpo.ui import page

    asked: dict[str, Any] = {}
    demo = build_demo()
    monkeypatch.setattr(demo, "launch", lambda **options: asked.update(options))
    page.serve(demo)
    assert asked["state_session_capacity"] == MOST_VISITS <= 200

"""The app as programs see it: started for real, spoken to through gradio_client."""

from __future__ import annotations

import json
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from ddpo.diffusion.catalogue import PAIRS
from ddpo.ui.shared import uploads
from tests.helpers.here import ROOT
from tests.helpers.serving import RunningApp, get, running_app
from tests.helpers.waiting import wait_for

QUICK: dict[str, Any] = {"steps": 3, "samples": 2, "api_name": "/compare"}
LONG: dict[str, Any] = {"scheduler": "ddpm", "steps": 1000, "samples": 1, "api_name": "/compare"}


def refusal(client: Client, **arguments: Any) -> str:
    """The sentence with which a call is refused."""
    with pytest.raises(AppError) as caught:
        client.predict(**{"api_name": "/compare", **arguments})
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and "Traceback" not in sentence
    return sentence


def test_starting_imports_neither_torch_nor_diffusers() -> None:
    check = "import sys, app; print([m for m in ('torch', 'diffusers', 'torchvision', 'scipy') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip().splitlines()[-1] == "[]"


def test_both_ways_of_starting_serve_the_same_page(app: RunningApp, tmp_path: Path) -> None:
    gradio = str(Path(sys.executable).with_name("gradio"))
    with running_app(tmp_path / "log.txt", (gradio, "app.py")) as other:
        pages = [(json.loads(get(f"{url}/config")), get(f"{url}/theme.css")) for url in (app.url, other.url)]
        heads = [get(url).partition("<script")[0].replace(url, "") for url in (app.url, other.url)]
        icons = [httpx.get(f"{url}/favicon.ico").content for url in (app.url, other.url)]
    assert heads[0] == heads[1] and icons[0] == icons[1]
    (config, theme), (other_config, other_theme) = pages
    assert ".masthead" in config["css"] and config["css"] == other_config["css"]
    assert "--button-primary-background-fill" in theme and theme == other_theme
    assert config["theme_hash"] == other_config["theme_hash"] and config["title"] == other_config["title"]


def test_only_the_documented_endpoints_are_offered(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert isinstance(api, dict)
    training = {f"/{verb}_run" for verb in ("start", "stop", "resume", "rename", "delete")}
    training |= {"/run_status", "/list_runs"}
    assert (
        set(api["named_endpoints"]) == {"/compare", "/evaluate", "/score", "/models", *training}
        and not api["unnamed_endpoints"]
    )
    for endpoint in api["named_endpoints"].values():
        assert len(endpoint["description"]) > 80
    parameters = {p["parameter_name"]: p for p in api["named_endpoints"]["/compare"]["parameters"]}
    names = ["pair", "scheduler", "steps", "eta", "samples", "seed", "scorer", "base", "tuned"]
    assert list(parameters) == names
    assert all(p["parameter_has_default"] and p["python_type"]["description"] for p in parameters.values())


def test_models_lists_what_compare_takes(client: Client) -> None:
    models = client.predict(api_name="/models")
    assert [pair["name"] for pair in models["pairs"]] == list(PAIRS)
    assert [pair["name"] for pair in models["pairs"] if pair["on_this_machine"]] == ["church-64"]
    assert all(pair["base"] and pair["tuned"] and pair["cost"]["source"] for pair in models["pairs"])
    assert str(ROOT) not in json.dumps(models)
    assert models["defaults"]["pair"] == "church-64" and "church-256" in models["defaults"]["why"]
    assert {s["name"] for s in models["scorers"] if s["argument"]} == {"prompt"}
    steps = {s["name"]: s["default_steps"] for s in models["schedulers"]}
    assert steps["ddpm"] == 1000 and steps["ddim"] == 50 and len(steps) >= 6
    assert {s["name"]: s["range"] for s in models["scorers"]}["photographic"] == [1.0, 10.0]
    assert all(s["source"] for s in models["scorers"])


def test_compare_works_without_any_argument(client: Client) -> None:
    base, tuned, result = client.predict(api_name="/compare")
    assert len(base) == len(tuned) == 8 and result["seeds"] == list(range(8))
    assert result["settings"]["scheduler"] == "ddim" and result["settings"]["steps"] == 50
    assert result["scorer"] == "photographic" and "photographic" in result["sentence"]
    assert result["statistics"]["n"] == 8 and result["seconds_per_image"] > 0 and result["compute"]
    assert str(ROOT) not in json.dumps(result)
    for path, score in zip(tuned, result["tuned_scores"], strict=True):
        with Image.open(path) as picture:
            picture.load()
            assert picture.size == (64, 64)
            assert float(picture.text["score"]) == score  # type: ignore[attr-defined]


def test_the_same_arguments_give_the_same_pictures_and_scores(client: Client, tiny_folder: Path) -> None:
    call = {
        "pair": "church-64", "scheduler": "ddim", "steps": 4, "eta": 1.0, "samples": 3, "seed": 7,
        "scorer": "jpeg-incompressibility", "base": str(tiny_folder), "tuned": str(tiny_folder), "api_name": "/compare",
    }  # fmt: skip
    first, second = client.predict(**call), client.predict(**call)
    assert [Path(p).read_bytes() for p in first[0]] == [Path(p).read_bytes() for p in second[0]]
    assert first[2]["base_scores"] == second[2]["base_scores"] == first[2]["tuned_scores"]
    assert first[2]["seeds"] == [7, 8, 9] and first[2]["settings"]["eta"] == 1.0
    other = client.predict(**{**call, "seed": 8})
    assert other[2]["base_scores"] != first[2]["base_scores"]


def test_a_submitted_job_tells_its_progress_and_stops_when_cancelled(app: RunningApp, client: Client) -> None:
    mark = len(app.log)
    job = client.submit(**LONG)
    seen: list[Any] = []
    deadline = time.monotonic() + 60
    while len(seen) < 3 and time.monotonic() < deadline:
        progress = job.status().progress_data
        if progress and progress[0].length == 2000 and progress[0].index not in seen:
            seen.append(progress[0].index)
        time.sleep(0.02)
    assert len(seen) == 3 and seen == sorted(seen)
    job.cancel()
    stopped = app.wait_for_log(r"cancelled at evaluation (\d+) of 2000", mark)
    assert 0 < int(stopped[1]) < 1900
    assert client.predict(**QUICK)[2]["statistics"]["n"] == 2  # the next one need not wait for the rest
    assert "finished" not in app.log[mark : stopped.end()]


def test_a_program_that_dies_does_not_leave_its_comparison_running(app: RunningApp) -> None:
    mark = len(app.log)
    code = f"from gradio_client import Client; Client({app.url!r}, verbose=False).predict(**{LONG!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        app.wait_for_log("Comparison started", mark, seconds=60)
        time.sleep(3)  # the client starts to listen only after it has asked, and nobody misses one that never listened
    finally:
        process.kill()
        process.wait()
    app.wait_for_log(r"cancelled at evaluation \d+ of", mark, seconds=30)


def test_an_upload_that_breaks_off_leaves_no_file_and_no_traceback(app: RunningApp) -> None:
    mark, content = len(app.log), secrets.token_bytes(200_000)
    host, port = urlsplit(app.url).hostname, urlsplit(app.url).port
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    )

    def written() -> list[Path]:
        """Files that hold what was sent."""
        files = Path(tempfile.gettempdir()).glob(f"{uploads.FOLDER}*/tmp*")
        return [file for file in files if file.read_bytes()[:1000] == content[:1000]]

    with socket.create_connection((host, port)) as connection:
        connection.sendall(head.encode() + content)
        wait_for(written)
    wait_for(lambda: not written())
    assert "Traceback" not in app.log[mark:]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"samples": 0}, r"samples .* from 1 to 16"),
        ({"samples": 17}, r"samples .* from 1 to 16"),
        ({"samples": "many"}, "samples"),
        ({"steps": 10_000}, r"steps from 1 to 1000"),
        ({"steps": 0}, r"steps from 1 to 1000"),
        ({"steps": 2.5}, r"steps from 1 to 1000"),
        ({"eta": 7.0}, r"eta must be between 0"),
        ({"eta": "NaN"}, r"eta must be a finite number"),
        ({"seed": -1}, "seed"),
        ({"scheduler": "euler"}, r"no scheduler called 'euler'"),
        ({"scheduler": ["ddim"]}, "scheduler"),
        ({"pair": "cathedral"}, r"no model pair called 'cathedral'"),
        ({"pair": "own", "base": "google/ddpm-church-256"}, r"Give both models"),
        ({"scorer": "prompt"}, r"needs a sentence: write prompt:a sunny day"),
        ({"scorer": "prompt:a sunny day|a grey day", "samples": 1, "steps": 1}, r"weights of Likeness .* stay offline"),
        ({"scorer": "beauty"}, "beauty"),
        ({"base": "/nowhere/at/all"}, r"no folder '/nowhere/at/all'"),
        ({"tuned": str(ROOT / "tests")}, r"holds no diffusion model"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(client: Client, arguments: dict[str, Any], expected: str) -> None:
    assert re.search(expected, refusal(client, **arguments))


def test_score_scores_an_uploaded_picture(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    picture = Image.new("RGB", (120, 80), "red")
    picture.paste("blue", (0, 0, 60, 80))
    picture.save(path)
    result = client.predict(handle_file(str(path)), "colourfulness", api_name="/score")
    assert result["scorer"] == "colourfulness" and result["score"] > 50 and result["size"] == [120, 80]
    default = client.predict(image=handle_file(str(path)), api_name="/score")
    assert default["scorer"] == "photographic" and 1 <= default["score"] <= 10


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.png", b"", "empty"),
        ("text.png", b"not a picture at all", "not a picture"),
        ("notes.txt", b"some notes", "not a picture"),
        ("cut.png", None, "damaged"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(
    client: Client, tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    path = tmp_path / name
    if content is None:
        Image.effect_noise((64, 64), 50).save(path)
        content = path.read_bytes()[:600]
    path.write_bytes(content)
    assert expected in refusal(client, image=handle_file(str(path)), api_name="/score")


def test_no_picture_and_an_unknown_scorer_are_refused(client: Client) -> None:
    assert "No picture" in refusal(client, image=None, api_name="/score")
    assert "No picture" in refusal(client, image="just text", api_name="/score")
    assert "beauty" in refusal(client, image=None, scorer="beauty", api_name="/score")


def test_files_that_were_not_uploaded_cannot_be_scored(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    Image.new("RGB", (64, 64), "red").save(path)
    for claim in ({"path": str(path), "meta": {"_type": "gradio.FileData"}}, {"path": str(path)}):
        with pytest.raises((AppError, ValueError)):
            _post_score(client, claim)


def _post_score(client: Client, claim: dict[str, Any]) -> None:
    """What a program may send past the client, which would upload the file."""
    import httpx

    url = f"{client.src_prefixed}call/score"
    event = httpx.post(url, json={"data": [claim, "colourfulness"]}).json()["event_id"]
    answer = httpx.get(f"{url}/{event}", timeout=30).text
    if "event: error" in answer:
        raise ValueError(answer)


def test_the_app_goes_on_serving_after_all_that(app: RunningApp, client: Client) -> None:
    refusal(client, samples=0)
    assert len(client.predict(**QUICK)[0]) == 2
    assert "Unexpected error" not in app.log


def test_a_space_refuses_folders_and_does_not_ask_for_them(tmp_path: Path, tiny_folder: Path) -> None:
    with running_app(tmp_path / "log.txt", SPACE_ID="someone/ddpo-studio") as space:
        client = Client(space.url, verbose=False)
        assert "not on a Space" in refusal(client, base=str(tiny_folder))
        assert client.predict(api_name="/models")["local_folders"] is False
        assert "not in the cache" in refusal(client, base="someone/model")  # an id is looked up
        fields = [c["props"] for c in client.config["components"] if c["props"].get("elem_id") == "own-base"]
        assert [field["placeholder"] for field in fields] == ["owner/name"]
        (hint,) = duplicate_hints(client)
        assert "https://huggingface.co/spaces/someone/ddpo-studio?duplicate=true" in hint


def duplicate_hints(client: Client) -> list[str]:
    return [c["props"]["value"] for c in client.config["components"] if c["props"].get("elem_id") == "duplicate"]


def test_nobody_is_told_to_duplicate_what_is_no_space(client: Client) -> None:
    assert duplicate_hints(client) == []


def test_the_owner_who_has_signed_in_is_not_told_to_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpo.ui.space import duplicate

    monkeypatch.setenv("SPACE_ID", "someone/ddpo-studio")
    people = {name: SimpleNamespace(username=name) for name in ("someone", "somebody")}
    seen = [duplicate._unless_owner(profile)["visible"] for profile in (None, *people.values())]  # type: ignore[arg-type]
    assert seen == [True, False, True]

"""The real app beside a Hub: models that cannot be had, in the page's own handler and through gradio_client."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from ddpo.ui.compare.tab import FIELDS
from tests.helpers.here import ROOT
from tests.helpers.hub_server import HubServer, serving
from tests.helpers.models import BIN, SAFETENSORS, UNSUITED, drop_tensors, edit_config, flatten, to_bin, truncate
from tests.helpers.serving import RunningApp, running_app

GOOD, OTHER = "me/good", "me/other-size"
PAGE: dict[str, Any] = {
    "pair": "own", "scheduler": "ddim", "steps": 1, "eta": 0, "samples": 1, "seed": 0, "scorer": "colourfulness",
    "like": "", "unlike": "", "base": "", "tuned": "",
}  # fmt: skip


def not_weights(folder: Path) -> None:
    (folder / "unet" / SAFETENSORS).write_bytes(b"version https://git-lfs.github.com/spec/v1")


def broken_bin(folder: Path) -> None:
    to_bin(folder)
    (folder / "unet" / BIN).write_bytes(b"<html>404</html>")


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    **{kind.replace(" ", "-"): case for kind, case in UNSUITED.items()},
    "truncated": (truncate, "cannot be read; "),
    "lacking": (drop_tensors, "tensors of the network; "),
    "pointer": (not_weights, "cannot be read; "),
    "broken-bin": (broken_bin, "cannot be read; "),
    "no-weights": (lambda folder: (folder / "unet" / SAFETENSORS).unlink(), "holds no weights that can be loaded"),
    "other-shape": (lambda folder: edit_config(folder, block_out_channels=[8, 8]), "cannot be read; "),
}
IDS = {
    "nobody/nothing": "no model of that name on the Hub",
    "them/private": "no model of that name on the Hub",
    "them/gated": "'them/gated' is gated: accept its conditions",
    f"{GOOD}@v9": f"'{GOOD}' has no revision 'v9'",
    OTHER: "pictures of different sizes",
    **dict.fromkeys(
        (
            "ddpm-church-256", "google/", "a/b/c", "goo gle/ddpm", "google/dd--pm", "google/ddpm@../../main",
            "https://huggingface.co/google/ddpm", "../../nowhere", "gööglé/ddpm",
        ),
        "There is no folder",
    ),
}  # fmt: skip
WRONG = {**IDS, **{f"damaged/{kind}": sentence for kind, (_, sentence) in DAMAGED.items()}}


@dataclass(frozen=True)
class Place:
    """An app, its client, and the Hub that it talks to."""

    app: RunningApp
    client: Client
    hub: HubServer


@pytest.fixture(scope="module")
def place(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("hub-app")
    with serving() as hub:
        hub.add(GOOD, tiny_folder)
        hub.add("them/private", tiny_folder, private=True)
        hub.add("them/gated", tiny_folder, gated=True)
        for kind, (damage, _) in DAMAGED.items():
            damage(copy := Path(shutil.copytree(tiny_folder, folder / kind)))
            hub.add(f"damaged/{kind}", copy)
        other = Path(shutil.copytree(tiny_folder, folder / "other"))
        edit_config(other, sample_size=32)
        flatten(other)
        hub.add(OTHER, other)
        variables = {
            "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1", "HF_TOKEN_PATH": str(folder / "no-token"),
        }  # fmt: skip
        with running_app(folder / "log.txt", (sys.executable, "-u", "app.py"), **variables) as app:  # reads them itself
            yield Place(app, Client(app.url, verbose=False, download_files=str(folder / "downloads")), hub)


def press_compare(place: Place, **changes: Any) -> tuple[list[Any], str | None]:
    """What the page's handler sends when Compare is pressed: the last state of its outputs, and the error."""
    (handler,) = [d for d in place.client.config["dependencies"] if d["api_name"] == "_on_compare"]
    session = {"session_hash": uuid.uuid4().hex[:11]}
    values = [None, *({**PAGE, **changes}[name] for name in FIELDS)]  # the first is the key of what is shown
    url = f"{place.client.src_prefixed}queue"
    httpx.post(f"{url}/join", json={"data": values, "fn_index": handler["id"], **session}).raise_for_status()
    last: list[Any] = []
    with httpx.stream("GET", f"{url}/data", params=session, timeout=120) as answer:
        for line in answer.iter_lines():
            event = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            if event.get("msg") in ("process_generating", "process_completed"):
                last = event["output"].get("data") or last
            if event.get("msg") == "process_completed":
                return last, event["output"].get("error")
    raise AssertionError("The page got no answer.")


def call(place: Place, **arguments: Any) -> str:
    """The sentence with which /compare refuses a call."""
    with pytest.raises(AppError) as caught:
        place.client.predict(**{"steps": 1, "samples": 1, "api_name": "/compare", **arguments})
    return str(caught.value)


def test_there_are_more_than_20_wrong_models() -> None:
    assert len(WRONG) >= 25


@pytest.mark.parametrize("source", WRONG)
def test_a_wrong_model_gets_its_sentence_in_the_page_and_in_the_client(place: Place, source: str) -> None:
    mark = len(place.app.log)
    from_endpoint = call(place, base=GOOD, tuned=source)
    _, from_page = press_compare(place, base=GOOD, tuned=source)
    assert WRONG[source] in from_endpoint and from_endpoint == from_page
    assert from_endpoint.endswith(".") and "\n" not in from_endpoint and str(ROOT) not in from_endpoint
    assert "http://" not in from_endpoint and "Traceback" not in place.app.log[mark:]


def test_two_models_of_the_hub_are_compared_in_the_page_and_in_the_client(place: Place) -> None:
    _, _, result = place.client.predict(base=GOOD, tuned=f"{GOOD}@main", steps=1, samples=1, api_name="/compare")
    assert result["settings"]["pair"] == "own"
    assert (result["settings"]["base"], result["settings"]["tuned"]) == (GOOD, f"{GOOD}@main")
    outputs, error = press_compare(place, base=GOOD, tuned=f"{GOOD}@main")
    assert error is None and f"{GOOD} against {GOOD}@main" in json.dumps(outputs)
    assert "Give both models" in str(press_compare(place, base=GOOD)[1])


def test_with_the_hub_down_the_bundled_pair_works_and_the_page_says_what_is_missing(place: Place) -> None:
    place.hub.status = 503
    try:
        refused = call(place, pair="church-256")
        assert refused == press_compare(place, pair="church-256-aesthetic")[1]
        assert "out of order (HTTP 503), and 'google/ddpm-church-256' is not in the cache" in refused
        about = choose_pair(place, "church-256-aesthetic")
        for name in ("google/ddpm-church-256", "alkzar90/ddpo-aesthetic-church-256"):
            assert name in about
        assert "not on this machine, and not to be had from the Hugging Face Hub now" in about
        assert place.client.predict(steps=1, samples=1, api_name="/compare")[2]["settings"]["pair"] == "church-64"
        assert press_compare(place, pair="church-64")[1] is None
        assert "not to be had" not in choose_pair(place, "church-64")
    finally:
        place.hub.status = None


def choose_pair(place: Place, name: str) -> str:
    """What the page says of a pair when it is chosen."""
    dependencies = place.client.config["dependencies"]
    fields = {c["id"]: c["props"].get("elem_id") for c in place.client.config["components"]}
    (handler,) = [
        d for d in dependencies if [fields[i] for i in d["outputs"]] == ["about-pair", "own-base", "own-tuned"]
    ]
    url = f"{place.client.src_prefixed}run/predict"
    answer = httpx.post(url, json={"data": [name], "fn_index": handler["id"], "session_hash": "choose"}, timeout=20)
    return str(answer.raise_for_status().json()["data"][0])

"""The app as an agent sees it that reads the schema and has curl: no client of Gradio's, no words of ours beside it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ddpo.ui.space import permission
from ddpo.ui.space.asker import Asker
from ddpo.ui.train import actions
from tests.helpers.here import ROOT
from tests.helpers.serving import RunningApp, get
from tests.helpers.training_calls import TINY

PROMISED = ROOT / "tests" / "api.json"  # names, types and defaults, on a machine without a GPU
KINDS: dict[str, Any] = {
    "string": str, "number": (int, float), "integer": int, "boolean": bool, "null": type(None), "object": dict,
    "array": list,
}  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl(*arguments: str) -> bytes:
    return subprocess.run(["curl", "-sS", "-m", "120", *arguments], capture_output=True, check=True).stdout


def post(app: RunningApp, call: str, body: Any) -> Any:
    """What the first of the two requests of a call answers."""
    address = f"{app.url}/gradio_api/call/{call}"
    return json.loads(curl(address, "-H", "Content-Type: application/json", "-d", json.dumps(body)))


def events(app: RunningApp, endpoint: str, body: Any, version: str = "v2/") -> list[tuple[str, Any]]:
    """The stream of events of a call."""
    event_id = post(app, version + endpoint, body)["event_id"]
    stream = curl("-N", f"{app.url}/gradio_api/call/{endpoint}/{event_id}").decode()
    return [(name, json.loads(data)) for name, data in re.findall(r"event: (\w+)\ndata: (.*)\n", stream)]


def answer(app: RunningApp, endpoint: str, body: Any, version: str = "v2/") -> list[Any]:
    """What a call returns."""
    name, data = events(app, endpoint, body, version)[-1]
    assert name == "complete", data
    return data


def refusal(app: RunningApp, endpoint: str, body: Any, version: str = "v2/") -> str:
    """The sentence with which a call is refused, before or after it was queued."""
    first = post(app, version + endpoint, body)
    if "event_id" not in first:
        return str(first["detail"])
    stream = curl(f"{app.url}/gradio_api/call/{endpoint}/{first['event_id']}").decode()
    name, data = re.findall(r"event: (\w+)\ndata: (.*)\n", stream)[-1]
    assert name == "error"
    return str(json.loads(data)["error"])


def misfits(value: Any, schema: dict[str, Any], place: str = "") -> list[str]:
    """Where a value is not what its schema says, a property that the schema lacks included."""
    if "anyOf" in schema:
        found = [misfits(value, other, place) for other in schema["anyOf"]]
        return min(found, key=len)
    kind = schema["type"]
    if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{place}: {value!r} is no {kind}"]
    if kind == "array" and "items" in schema:
        return [line for n, item in enumerate(value) for line in misfits(item, schema["items"], f"{place}[{n}]")]
    known = schema.get("properties")
    if kind != "object" or known is None:
        return []
    odd = [f"{place}.{name}" for name in value.keys() ^ known.keys()]
    return odd + [
        line for name in value.keys() & known.keys() for line in misfits(value[name], known[name], f"{place}.{name}")
    ]


@pytest.fixture(scope="module")
def schema(app: RunningApp) -> dict[str, Any]:
    info: dict[str, Any] = json.loads(curl(f"{app.url}/gradio_api/info"))
    assert not info["unnamed_endpoints"]
    return info["named_endpoints"]


def test_names_types_and_defaults_are_the_promised_ones(schema: dict[str, Any]) -> None:
    found = {
        endpoint: {
            "parameters": {
                p["parameter_name"]: [
                    p["python_type"]["type"], p["parameter_default"] if p["parameter_has_default"] else "required"
                ]
                for p in about["parameters"]
            },
            "returns": [f"{r['label']}: {r['component']}" for r in about["returns"]],
        }
        for endpoint, about in schema.items()
    }  # fmt: skip
    assert found == json.loads(PROMISED.read_text(encoding="utf-8"))


def test_everything_is_described_for_any_language(schema: dict[str, Any]) -> None:
    for endpoint, about in schema.items():
        assert "`error`" in about["description"], endpoint
        for parameter in about["parameters"]:
            words = parameter["python_type"]["description"]
            assert len(words) > 10 and "None" not in words and words.endswith((".", ")")), (endpoint, words)
            if parameter["parameter_has_default"] and parameter["parameter_default"] is None:
                assert "null" in words, (endpoint, parameter["parameter_name"])
        assert all(returned["python_type"]["description"] for returned in about["returns"])
    for endpoint in ("/compare", "/score", "/start_run", "/resume_run"):
        assert "Authorization: Bearer" in schema[endpoint]["description"]
    meta = '{"path": what that returned, "meta": {"_type": "gradio.FileData"}}'
    assert meta in schema["/score"]["parameters"][0]["type"]["additional_description"]


def test_every_name_that_models_lists_is_named_in_the_schema(app: RunningApp, schema: dict[str, Any]) -> None:
    (models,) = answer(app, "models", {})
    assert not misfits(models, schema["/models"]["returns"][0]["type"])
    about = {p["parameter_name"]: p["type"] for p in schema["/compare"]["parameters"]}
    assert about["scheduler"]["enum"] == [scheduler["name"] for scheduler in models["schedulers"]]
    for what, names in (("pair", models["pairs"]), ("scorer", models["scorers"])):
        assert all(entry["name"] in about[what]["additional_description"] for entry in names)
    bounds = {s["name"]: s["min_steps"] for s in models["schedulers"] if s["min_steps"] > 1}
    assert bounds == {"pndm": 4} and "1 (pndm: 4) to 1000" in about["steps"]["additional_description"]
    defaults = {s["name"]: s["default_steps"] for s in models["schedulers"]}
    assert defaults.pop("ddpm") == 1000 and set(defaults.values()) == {50}


def test_a_comparison_by_name_tells_its_progress_and_its_result(app: RunningApp, schema: dict[str, Any]) -> None:
    told = events(app, "compare", {"samples": 2, "steps": 3, "seed": 7})
    assert {name for name, _ in told} - {"heartbeat"} == {"generating", "complete"}
    (_, first), (_, (base, tuned, result)) = next(event for event in told if event[0] == "generating"), told[-1]
    assert first[:2] == [[], []] and set(first[2]) == {"stage", "step", "total", "seconds_left"}
    assert not misfits(result, schema["/compare"]["returns"][2]["type"])
    assert result["seeds"] == [7, 8] and result["settings"]["steps"] == 3
    for picture in (*base, *tuned):
        assert curl(picture["url"]).startswith(b"\x89PNG")


def test_the_old_way_with_a_list_of_values_gives_the_same(app: RunningApp) -> None:
    values = ["church-64", "ddim", 3, 0, 2, 7, None, None, None]
    old = answer(app, "compare", {"data": values}, version="")[2]
    new = answer(app, "compare", {"samples": 2, "steps": 3, "seed": 7})[2]
    assert old["base_scores"] == new["base_scores"] and old["tuned_scores"] == new["tuned_scores"]


def test_the_examples_of_the_schema_can_be_sent(app: RunningApp, schema: dict[str, Any]) -> None:
    examples = {
        endpoint: {p["parameter_name"]: p["example_input"] for p in about["parameters"]}
        for endpoint, about in schema.items()
    }
    result = answer(app, "compare", {**examples["/compare"], "steps": 2, "samples": 1})[2]
    assert result["scorer"] == examples["/compare"]["scorer"]
    assert answer(app, "list_runs", examples["/list_runs"]) == [[]]
    start = examples["/start_run"]
    settings = {**start["settings"], **{name: start[name] for name in ("epochs", "learning_rate", "kl_weight")}}
    spec = actions.make_spec(Asker.OPERATOR, start["pair"], start["base"], start["reward"], start["recipe"], settings)
    assert spec.config.epochs == start["epochs"] and permission.time_budget(start["minutes"]) == 300


def test_a_picture_is_uploaded_and_scored(app: RunningApp, schema: dict[str, Any], tmp_path: Path) -> None:
    Image.effect_noise((96, 64), 60).convert("RGB").save(tmp_path / "noise.png")
    (path,) = json.loads(curl(f"{app.url}/gradio_api/upload", "-F", f"files=@{tmp_path / 'noise.png'}"))
    image = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "noise.png"}
    (verdict,) = answer(app, "score", {"image": image})
    assert not misfits(verdict, schema["/score"]["returns"][0]["type"])
    assert verdict["size"] == [96, 64] and 1 <= verdict["score"] <= 10
    (size,) = answer(app, "score", {"image": image, "scorer": "jpeg-compressibility"})
    assert size["unit"] == "kB" and None in size["range"]
    for unmarked in ({"path": path}, {"path": "https://example.com/chair.png"}, path, None):
        assert "gradio.FileData" in refusal(app, "score", {"image": unmarked})


def test_a_run_is_started_followed_and_compared(app: RunningApp, schema: dict[str, Any]) -> None:
    shape = schema["/run_status"]["returns"][0]["type"]
    (run,) = answer(app, "start_run", {"epochs": 1, "settings": TINY})
    assert not misfits(run, shape) and run["state"] in ("starting", "running")
    deadline = time.monotonic() + 120
    while run["state"] in ("starting", "running") and time.monotonic() < deadline:
        time.sleep(0.5)
        (run,) = answer(app, "run_status", {"run": run["id"]})
        assert not misfits(run, shape)
    assert run["state"] == "finished" and run["result"] == f"run:{run['id']}"
    (history,) = answer(app, "run_status", {"history": True})
    assert len(history.pop("history")) == 1 and history.pop("held_out_history") == [] and history == run
    (listed,) = answer(app, "list_runs", {"limit": 1})
    assert listed == [run] and not misfits(listed, schema["/list_runs"]["returns"][0]["type"])
    assert refusal(app, "resume_run", {}).endswith(".")
    result = answer(app, "compare", {"pair": run["result"], "samples": 1, "steps": 2})[2]
    assert result["settings"]["pair"] == run["result"]


@pytest.mark.parametrize(
    ("endpoint", "body", "expected"),
    [
        ("compare", {"sample": 2}, r"no parameter 'sample', did you mean 'samples'; it has pair, scheduler, "),
        ("compares", {}, r"no endpoint 'compares', did you mean 'compare'; there are compare, score, "),
        ("score", {}, r"^score needs image\.$"),
        ("models", {"all": True}, r"no parameter 'all'; it has none\.$"),
        ("compare", {"scheduler": "euler"}, r"choose one of: ddpm, ddim, "),
        ("compare", {"samples": 0}, r"from 1 to 16"),
        ("compare", {"steps": "many"}, r"number of steps must be"),
        ("compare", {"pair": "church"}, r"choose one of: church-64, .*run:<id>"),
        ("start_run", {"recipe": "slow"}, r"choose one of quick, fast, short, zerogpu, paper"),
        ("start_run", {"settings": {"epoch": 3}}, r"epochs"),
        ("run_status", {"run": "nope"}, r"nope"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(app: RunningApp, endpoint: str, body: Any, expected: str) -> None:
    sentence = refusal(app, endpoint, body)
    assert re.search(expected, sentence), sentence
    assert sentence.endswith((".", "?")) and "\n" not in sentence and "Traceback" not in sentence


def test_a_list_that_is_too_short_says_what_it_must_hold(app: RunningApp) -> None:
    sentence = refusal(app, "compare", {"data": ["church-64", "ddim"]}, version="")
    assert sentence.startswith('"data" must hold 9 values, pair, scheduler, steps, ') and "and 2 came" in sentence
    assert "no endpoint 'nope'" in refusal(app, "nope", {"data": []}, version="")
    assert "object at 0x" not in sentence and "Traceback" not in get(app.url)

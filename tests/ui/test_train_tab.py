"""Finetuning as programs see it: the real app, runs that are there already, and one run that really trains."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from ddpo.errors import UserError
from ddpo.publish.push import contents
from ddpo.runs.store import open_run, training_lock
from ddpo.ui.train.archive import write_archive
from tests.helpers.here import ROOT
from tests.helpers.run_folders import CHURCH, make_run
from tests.helpers.serving import RunningApp, running_app
from tests.helpers.training_calls import TINY, assert_whole, wait_for

TRAINING = {
    "/start_run", "/run_status", "/stop_run", "/resume_run", "/list_runs", "/rename_run", "/delete_run",
}  # fmt: skip


@pytest.fixture
def runs(app: RunningApp) -> Iterator[Path]:
    """The app's folder of runs, emptied again afterwards."""
    folder = app.log_file.parent / "runs"
    folder.mkdir(exist_ok=True)
    yield folder
    for run in folder.iterdir():
        run.rename(app.log_file.parent / f"done-{run.name}")


def refusal(client: Client, endpoint: str, **arguments: Any) -> str:
    """The sentence with which a call is refused."""
    with pytest.raises(AppError) as caught:
        client.predict(api_name=endpoint, **arguments)
    sentence = str(caught.value)
    assert sentence.endswith((".", "?")) and "\n" not in sentence and "Traceback" not in sentence
    return sentence


def test_the_endpoints_are_documented_and_have_defaults(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert isinstance(api, dict)
    for name in TRAINING:
        endpoint = api["named_endpoints"][name]
        assert len(endpoint["description"]) > 80
        assert all(p["parameter_has_default"] and p["python_type"]["description"] for p in endpoint["parameters"])
    names = [p["parameter_name"] for p in api["named_endpoints"]["/start_run"]["parameters"]]
    assert names == [
        "pair", "reward", "recipe", "epochs", "learning_rate", "kl_weight", "minutes", "settings", "base",
        "wait",
    ]  # fmt: skip


def test_without_runs_the_list_is_empty_and_the_rest_is_a_sentence(client: Client, runs: Path) -> None:
    assert client.predict(api_name="/list_runs") == []
    for endpoint in ("/run_status", "/stop_run", "/resume_run"):
        assert "There is no run yet" in refusal(client, endpoint)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"pair": "cathedral"}, "no model pair called 'cathedral'"),
        ({"reward": "beauty"}, "no reward named 'beauty'"),
        ({"reward": "os:getcwd"}, "only from the command line"),
        ({"recipe": "slow"}, "no recipe named 'slow'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"learning_rate": "NaN"}, "learning_rate must be a finite number"),
        ({"kl_weight": -1}, "kl_weight must be at least 0"),
        ({"minutes": 0}, "minutes above 0"),
        ({"settings": {"sampling_step": 3}}, "did you mean 'sampling_steps'"),
        ({"settings": {"trained_steps": 20, "sampling_steps": 20}}, "trained_steps .* must be below"),
        ({"settings": "fast"}, "settings must be given by name"),
        ({"base": "/nowhere/at all"}, "no folder '/nowhere/at all'"),
        ({"base": str(ROOT / "tests")}, "holds no diffusion model"),
        ({"base": ["x"]}, "must be given as text"),
        ({"pair": 7}, "must be given as text"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    client: Client, runs: Path, arguments: dict[str, Any], expected: str
) -> None:
    assert re.search(expected, refusal(client, "/start_run", **arguments))
    assert client.predict(api_name="/list_runs") == []  # and leaves no run behind


def test_runs_are_listed_newest_first_with_what_became_of_them(client: Client, runs: Path) -> None:
    made = [
        make_run(runs, "stopped", 2, reward="colourfulness"),
        make_run(runs, "failed", 1, error="The disk is full."),
        make_run(runs, "running", 3),
        make_run(runs, "finished", 4, notice="The newest checkpoint was damaged."),
    ]
    listed = client.predict(api_name="/list_runs")
    assert [run["id"] for run in listed] == [run.id for run in made[::-1]]
    assert [run["state"] for run in listed] == ["finished", "interrupted", "failed", "stopped"]
    assert listed[2]["error"] == "The disk is full." and "damaged" in listed[0]["notice"]
    assert listed[0]["metrics"]["reward_mean"] == pytest.approx(4.4) and listed[0]["diagnosis"]["sentence"]
    assert len(client.predict(2, api_name="/list_runs")) == 2
    assert str(ROOT) not in json.dumps(listed) and str(runs) not in json.dumps(listed)


def test_a_run_tells_its_history(client: Client, runs: Path) -> None:
    run = make_run(runs, "finished", 4)
    assert "history" not in client.predict(run.id, api_name="/run_status")
    history = client.predict(run.id, True, api_name="/run_status")["history"]
    assert [line["epoch"] for line in history] == [1, 2, 3, 4]


@pytest.mark.parametrize("run", ["nothing", "../runs", "/etc", ["a"], "a\0b"])
def test_a_run_that_is_not_there_is_refused(client: Client, runs: Path, run: Any) -> None:
    make_run(runs, "stopped", 1)
    for endpoint in ("/run_status", "/stop_run", "/resume_run"):
        assert "There is no run" in refusal(client, endpoint, run=run)


def test_what_makes_no_sense_for_a_run_is_refused(client: Client, runs: Path) -> None:
    run = make_run(runs, "finished", 4)
    assert "not training" in refusal(client, "/stop_run", run=run.id)
    assert "finished" in refusal(client, "/resume_run", run=run.id)
    assert "minutes above 0" in refusal(client, "/resume_run", run=run.id, minutes=-1)


def test_a_second_run_is_refused_with_the_one_that_trains_and_its_time(client: Client, runs: Path) -> None:
    run, other = make_run(runs, "running", 2, epochs=20), make_run(runs, "stopped", 1)
    with training_lock(runs, run):
        assert client.predict(api_name="/run_status")["id"] == run.id  # the one that trains, though it is older
        for sentence in (refusal(client, "/start_run"), refusal(client, "/resume_run", run=other.id)):
            assert run.id in sentence and "3 minutes" in sentence
        stopping = client.predict(api_name="/stop_run")
        assert stopping["id"] == run.id and stopping["state"] == "stopping" and run.stop_requested()
    assert len(client.predict(api_name="/list_runs")) == 2


def test_a_run_waits_for_another_says_when_it_starts_and_leaves_the_queue(client: Client, runs: Path) -> None:
    run = make_run(runs, "running", 2, epochs=20)  # needs 180 s more
    tiny = {"epochs": 1, "settings": TINY, "wait": True}
    with training_lock(runs, run):
        first, second = (client.predict(**tiny, minutes=1, api_name="/start_run") for _ in range(2))
        assert [one["state"] for one in (first, second)] == ["queued"] * 2
        assert first["queue"] == {"place": 1, "seconds": 180.0} and second["queue"]["place"] == 2
        assert 180 < second["queue"]["seconds"] <= 240
        assert "waits in the queue" in refusal(client, "/resume_run", run=first["id"])
        assert client.predict(first["id"], api_name="/stop_run")["state"] == "stopped"
        assert client.predict(second["id"], api_name="/run_status")["queue"]["place"] == 1
    done = wait_for(client, second["id"], lambda s: s["state"] in ("finished", "failed"))
    assert done["state"] == "finished" and done["queue"] is None  # it began by itself
    assert client.predict(first["id"], api_name="/run_status")["state"] == "stopped"


def test_a_run_is_named_noted_and_deleted(client: Client, runs: Path) -> None:
    run = make_run(runs, "finished", 2)
    named = client.predict(run.id, "warm evenings", "Fog stays fog.", api_name="/rename_run")
    assert (named["name"], named["note"]) == ("warm evenings", "Fog stays fog.")
    assert client.predict(run.id, note="", api_name="/rename_run")["name"] == "warm evenings"
    assert "at most 80 characters" in refusal(client, "/rename_run", run=run.id, name="x" * 81)
    for endpoint in ("/rename_run", "/delete_run"):
        assert "Say which run" in refusal(client, endpoint)
        assert "There is no run" in refusal(client, endpoint, run="../runs")
    with training_lock(runs, run):
        assert "stop it first" in refusal(client, "/delete_run", run=run.id)
    assert client.predict(run.id, api_name="/delete_run") == {"deleted": run.id}
    assert client.predict(api_name="/list_runs") == [] and not run.folder.exists()


def test_the_result_of_a_run_can_be_compared_with_its_base(client: Client, runs: Path, tiny_folder: Path) -> None:
    run = make_run(runs, "finished", 2, base=tiny_folder, result=tiny_folder)
    pair = client.predict(run.id, api_name="/run_status")["result"]
    assert pair in [entry["name"] for entry in client.predict(api_name="/models")["pairs"]]
    _, tuned, result = client.predict(pair=pair, steps=2, samples=2, api_name="/compare")
    assert len(tuned) == 2 and result["base_scores"] == result["tuned_scores"]  # it is a copy of its base
    unfinished = make_run(runs, "stopped", 1)
    assert "no result yet" in refusal(client, "/compare", pair=f"run:{unfinished.id}")


def test_the_archive_holds_the_pipeline_in_a_folder_of_its_own(tmp_path: Path, tiny_folder: Path) -> None:
    run = make_run(tmp_path / "runs", "finished", 2, base=tiny_folder, result=tiny_folder)
    with zipfile.ZipFile(write_archive(run, tmp_path)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        metrics = archive.read(f"{run.id}/metrics.jsonl").decode().splitlines()
        assert f'from_pretrained("{run.id}")' in archive.read(f"{run.id}/README.md").decode()
    assert {*names} - {f"{run.id}/metrics.jsonl"} == {f"{run.id}/{name}" for name in contents(run, run.id)}
    assert f"{run.id}/model_index.json" in names and f"{run.id}/grids/after.png" in names
    assert [json.loads(line)["epoch"] for line in metrics] == [1, 2]
    with pytest.raises(UserError, match="no result yet"):
        write_archive(make_run(tmp_path / "runs", "stopped", 1), tmp_path)


def test_start_watch_stop_resume_and_compare(app: RunningApp, client: Client, runs: Path, tiny_folder: Path) -> None:
    long = {"base": str(tiny_folder), "epochs": 4000, "settings": TINY, "minutes": 10}
    started = client.predict(**long, api_name="/start_run")
    assert started["state"] in ("starting", "running") and started["epochs"] == 4000
    run_id = started["id"]
    assert run_id in refusal(client, "/start_run", epochs=1)
    status = wait_for(client, run_id, lambda s: s["epoch"] >= 2)
    assert status["state"] == "running" and status["metrics"]["samples"] == 2 * status["metrics"]["epoch"] >= 4
    assert client.predict(run_id, api_name="/stop_run")["state"] in ("stopping", "stopped")
    stopped = wait_for(client, run_id, lambda s: s["state"] == "stopped")
    assert 2 <= stopped["epoch"] < 4000 and stopped["result"] == f"run:{run_id}"
    assert client.predict(run_id, 10, api_name="/resume_run")["state"] in ("starting", "running")
    resumed = wait_for(client, run_id, lambda s: s["epoch"] > stopped["epoch"])
    assert resumed["state"] == "running"
    client.predict(run_id, api_name="/stop_run")
    wait_for(client, run_id, lambda s: s["state"] == "stopped")
    run = open_run(runs, run_id)
    assert_whole(run)
    compared = client.predict(pair=f"run:{run_id}", steps=2, samples=2, api_name="/compare")[2]
    assert compared["base_scores"] != compared["tuned_scores"]
    assert "Unexpected error" not in app.log


def test_training_goes_on_when_the_app_is_gone_and_is_found_again(tmp_path: Path, tiny_folder: Path) -> None:
    folder, long = str(tmp_path / "runs"), {"base": str(tiny_folder), "epochs": 4000, "settings": TINY, "minutes": 10}
    with running_app(tmp_path / "first.txt", DDPO_RUNS=folder) as first:
        client = Client(first.url, verbose=False)
        run_id = client.predict(**long, api_name="/start_run")["id"]
        before = wait_for(client, run_id, lambda s: s["epoch"] >= 1)
    with running_app(tmp_path / "second.txt", DDPO_RUNS=folder) as second:
        client = Client(second.url, verbose=False)
        found = client.predict(api_name="/run_status")
        assert found["id"] == run_id and found["state"] == "running" and found["epoch"] >= before["epoch"]
        client.predict(api_name="/stop_run")
        wait_for(client, run_id, lambda s: s["state"] == "stopped")


def test_the_tab_can_be_switched_off(tmp_path: Path) -> None:
    with running_app(tmp_path / "log.txt", DDPO_TRAINING="off") as without:
        client = Client(without.url, verbose=False)
        api = client.view_api(return_format="dict", print_info=False)
        assert isinstance(api, dict) and not TRAINING & set(api["named_endpoints"])
        assert all(c["props"].get("label") != "Train" for c in client.config["components"])


def test_a_space_offers_training_only_when_told_to_and_within_its_bounds(tmp_path: Path, tiny_folder: Path) -> None:
    space = {"SPACE_ID": "someone/ddpo-studio", "SPACE_AUTHOR_NAME": "someone"}
    with running_app(tmp_path / "default.txt", **space) as default:
        api = Client(default.url, verbose=False).view_api(return_format="dict", print_info=False)
        assert isinstance(api, dict) and not TRAINING & set(api["named_endpoints"])
    with running_app(tmp_path / "on.txt", **space, DDPO_TRAINING="on", DDPO_MAX_MINUTES="5") as public:
        client = Client(public.url, verbose=False)
        assert "at most 5 minutes" in refusal(client, "/start_run", minutes=6)
        for folder in (str(tiny_folder), str(CHURCH), "/etc"):
            assert "Folders work only" in refusal(client, "/start_run", base=folder)
    with running_app(tmp_path / "owner.txt", **space, DDPO_TRAINING="owner") as private:
        client = Client(private.url, verbose=False)
        make_run(tmp_path / "runs", "stopped", 1)
        for endpoint in ("/start_run", "/stop_run", "/resume_run"):
            assert "Only the owner" in refusal(client, endpoint)
        assert client.predict(api_name="/run_status")["state"] == "stopped"  # anybody may look

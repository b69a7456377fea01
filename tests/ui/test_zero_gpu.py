"""ZeroGPU: the real package `spaces`, with a stand-in of the service that lends the GPU."""

from __future__ import annotations

import base64
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from ddpo.comparison.settings import ComparisonSettings
from ddpo.runs.store import list_runs
from ddpo.ui.compare.run import comparison_seconds
from tests.helpers.here import ROOT
from tests.helpers.lending import Lender, Visitor, lending, variables, with_lent_gpu
from tests.helpers.serving import RunningApp, running_app
from tests.helpers.training_calls import TINY, assert_whole, wait_for

pytest.importorskip("spaces")


@pytest.fixture(scope="module")
def lender() -> Iterator[Lender]:
    with lending() as lender:
        yield lender


@pytest.fixture(scope="module")
def space(lender: Lender, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app on a Space with ZeroGPU."""
    folder = tmp_path_factory.mktemp("space")
    settings = {**variables(lender, folder), "DDPO_TRAINING": "on", "DDPO_SLICE_SECONDS": "30"}
    with running_app(folder / "log.txt", with_lent_gpu, **settings) as serving:
        yield serving


@pytest.fixture(scope="module")
def visitor(space: RunningApp) -> Client:
    return Client(space.url, verbose=False)


def as_visitor(space: RunningApp, who: Visitor) -> Client:
    return Client(space.url, verbose=False, headers=who.headers)


def said(client: Client, elem_id: str, **changes: Any) -> str:
    """The line beside a button, as the page asks for it: with its controls as they are but for some changes."""
    parts = {part["id"]: part["props"] for part in client.config["components"]}
    (line,) = [number for number, props in parts.items() if props.get("elem_id") == elem_id]
    (event,) = [e for e in client.config["dependencies"] if e["outputs"][:1] == [line] and e["inputs"]][:1]
    values = [changes.get(parts[number].get("elem_id") or "", parts[number].get("value")) for number in event["inputs"]]
    call = {"fn_index": event["id"], "data": values, "session_hash": "someone"}
    answer = httpx.post(f"{client.src_prefixed}run/predict", json=call, timeout=60)
    return unescape(re.sub("<[^>]*>", "", answer.json()["data"][0]))


def seconds_said(line: str) -> int:
    match = re.search(r"(\d+) s of GPU", line)
    assert match is not None, line
    return int(match[1])


def test_the_time_asked_for_grows_with_steps_pictures_and_their_size() -> None:
    few = comparison_seconds(ComparisonSettings(steps=10, samples=1))
    many = comparison_seconds(ComparisonSettings(steps=100, samples=1))
    assert 5 * few < many < 10 * few and 0 < few < 5  # both read the networks, once
    large = {"base": "google/ddpm-church-256", "tuned": "google/ddpm-church-256"}
    one, sixteen = (comparison_seconds(ComparisonSettings(steps=100, samples=n, **large)) for n in (1, 16))  # type: ignore[arg-type]
    assert many <= one < sixteen < 60
    heun = comparison_seconds(ComparisonSettings(scheduler="heun", steps=100, samples=1))
    assert 1.9 * many < heun < 2 * many
    scored = comparison_seconds(ComparisonSettings(steps=10, samples=1, scorer="laion-v2"))
    assert scored > few + 10  # CLIP's 1.7 GB are read where the GPU is


def test_elsewhere_nothing_is_wrapped_and_nothing_heavy_imported() -> None:
    check = (
        "import sys, spaces, app; from ddpo.ui.compare import along, rescoring, run;"
        "from ddpo.ui.evaluate.run import events_at;"
        "from ddpo.ui.space import scoring, slices; lent = run._beats, events_at, scoring._score, slices.train_slice,"
        "along._beats, rescoring._beats, scoring._score_many;"
        "print([hasattr(f, '__wrapped__') for f in lent],"
        "'torch' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "SPACES_ZERO_GPU"}
    answer = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip().splitlines()[-1] == f"{[False] * 7} False"


def test_the_first_pair_is_set_aside_for_the_gpu_before_the_page_is_served(space: RunningApp, lender: Lender) -> None:
    assert lender.calls[0] == "/startup-report"
    packed = sum(path.stat().st_size for path in (space.log_file.parent / "tensors").rglob("*") if path.is_file())
    assert packed > 2 * 14e6  # both networks of church-64 in float32


def test_a_comparison_borrows_the_gpu_once_for_as_long_as_it_needs(visitor: Client, lender: Lender) -> None:
    lender.durations.clear()
    line = said(visitor, "compare-quota", steps=20, samples=2)
    job = visitor.submit(steps=20, samples=2, api_name="/compare")
    base, tuned, result = job.result(timeout=120)
    assert len(base) == len(tuned) == 2 and result["statistics"]["n"] == 2
    stages = [state[2]["stage"] for state in job.outputs()[:-1]]
    assert stages[0] == "Waiting for a GPU" and "Denoising" in stages
    # 8 s to begin with, and 2 x 20 evaluations of 20 ms: 6 s for `spaces`, which asks for half as much again.
    assert lender.durations == [9] == [seconds_said(line)]
    assert "A day allows it 13 times without an account, 33 with a free account and 266 with PRO or Team." in line


def test_an_evaluation_borrows_it_for_each_number_of_steps_anew(visitor: Client, lender: Lender) -> None:
    lender.durations.clear()
    _, result = visitor.predict(grid=["ddim:1,2"], seeds=2, api_name="/evaluate")
    assert result["complete"] and len(result["cells"]) == 4 and len(lender.durations) == 2
    changes = {"evaluate-schedulers": ["ddim"], "evaluate-steps": "1, 2", "evaluate-seeds": 2}
    line = said(visitor, "evaluate-cost", **changes)
    assert "in 2 calls" in line and seconds_said(line) == sum(lender.durations)


def test_a_cancelled_comparison_gives_the_gpu_back(space: RunningApp, visitor: Client, lender: Lender) -> None:
    mark, given_back = len(space.log), lender.calls.count("/release")
    job = visitor.submit(scheduler="ddpm", steps=1000, samples=1, api_name="/compare")
    deadline = time.monotonic() + 60
    while not any(state[2]["stage"] == "Denoising" for state in job.outputs()) and time.monotonic() < deadline:
        time.sleep(0.1)
    job.cancel()
    space.wait_for_log(r"cancelled at evaluation \d+ of 2000", mark)
    while lender.calls.count("/release") == given_back and time.monotonic() < deadline:
        time.sleep(0.1)
    assert lender.calls.count("/release") == given_back + 1
    assert "Comparison finished" not in space.log[mark:]


def test_a_score_borrows_it_too(visitor: Client, lender: Lender, tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / "noise.png")
    lender.durations.clear()
    scored = visitor.predict(handle_file(str(tmp_path / "noise.png")), "colourfulness", api_name="/score")
    assert scored["score"] >= 0
    picture = upload(visitor, tmp_path)
    line = said(visitor, "score-quota", **{"score-upload": picture, "score-scorer": "colourfulness"})
    assert lender.durations == [9] and seconds_said(line) == 9
    assert seconds_said(said(visitor, "score-quota")) in (9, 10)  # the largest that may be uploaded takes 0.8 s more
    damaged = said(visitor, "score-quota", **{"score-scorer": "beauty"})
    assert damaged == ""  # Score says what is wrong


def test_errors_on_the_gpu_and_of_the_lender_come_back_as_sentences(visitor: Client, lender: Lender) -> None:
    with pytest.raises(AppError, match=r"There is no model pair called 'cathedral'.*\.$"):
        visitor.predict(pair="cathedral", api_name="/compare")
    before = len(lender.durations)
    with pytest.raises(AppError, match=r"at least 4|from 4"):  # PNDM
        visitor.predict(scheduler="pndm", steps=1, api_name="/compare")
    assert len(lender.durations) == before  # nothing is borrowed for what cannot be done
    lender.anybody.left = 3
    try:
        with pytest.raises(AppError, match=r"^ZeroGPU quota exceeded: .*\.$"):
            visitor.predict(steps=2, samples=1, api_name="/compare")
    finally:
        lender.anybody.left = math.inf


def test_a_quota_ends_in_the_middle_and_the_next_visitor_has_their_own(space: RunningApp, lender: Lender) -> None:
    anonymous, signed_in = lender.welcome(left=30), lender.welcome(left=30, account="regular")
    mine = as_visitor(space, anonymous)
    asked = seconds_said(said(mine, "compare-quota", steps=10, samples=1))
    done, lender.pace = 0, 20.0
    try:
        with pytest.raises(AppError) as refused:
            while done < 30:
                mine.predict(steps=10, samples=1, api_name="/compare")
                done += 1
        assert 30 // asked <= done < 30  # as many as the page promises of a quota, at the least
        sentence = str(refused.value)
        assert f"exceeded your ZeroGPU quota ({asked}s requested vs. {int(anonymous.left)}s left)" in sentence
        assert len(as_visitor(space, signed_in).predict(steps=10, samples=1, api_name="/compare")[0]) == 1
        signed_in.left = 1
        with pytest.raises(AppError, match="exceeded your free ZeroGPU quota"):
            as_visitor(space, signed_in).predict(steps=10, samples=1, api_name="/compare")
        with pytest.raises(AppError, match=f"{asked}s requested vs. {int(anonymous.left)}s left"):
            picture = Path(space.log_file.parent / "noise.png")
            Image.effect_noise((64, 64), 50).convert("RGB").save(picture)
            mine.predict(handle_file(str(picture)), "colourfulness", api_name="/score")
    finally:
        lender.pace = 1.0


def test_a_call_that_is_cut_off_ends_in_a_sentence_and_the_next_one_works(
    visitor: Client, lender: Lender, space: RunningApp
) -> None:
    lender.patience = 2.0
    try:
        with pytest.raises(AppError, match=r"^ZeroGPU worker error: GPU task aborted\.$"):
            visitor.predict(scheduler="ddpm", steps=1000, samples=16, api_name="/compare")
    finally:
        lender.patience = math.inf
    assert len(visitor.predict(steps=4, samples=1, api_name="/compare")[0]) == 1


def upload(client: Client, folder: Path) -> dict[str, Any]:
    """A picture as the page holds it once it is uploaded."""
    with (folder / "noise.png").open("rb") as file:
        (path,) = httpx.post(f"{client.src_prefixed}upload", files={"files": file}, timeout=60).json()
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_training_borrows_the_gpu_for_slices_and_waits_where_it_is_refused(
    space: RunningApp, visitor: Client, lender: Lender
) -> None:
    lender.durations.clear()
    lender.anybody.left = 3
    try:
        run_id = visitor.predict(epochs=2, settings=TINY, api_name="/start_run")["id"]
        stopped = wait_for(visitor, run_id, lambda s: s["state"] == "stopped")
    finally:
        lender.anybody.left = math.inf
    assert "ZeroGPU quota exceeded" in stopped["notice"] and stopped["error"] is None
    assert visitor.predict(run_id, api_name="/resume_run")["state"] in ("starting", "running")
    done = wait_for(visitor, run_id, lambda s: s["state"] == "finished")
    assert done["epoch"] == 2 and done["result"] == f"run:{run_id}" and done["notice"] is None
    assert len(lender.durations) >= 2 and set(lender.durations) == {30}
    (run,) = list_runs(space.log_file.parent / "runs")
    assert_whole(run)
    assert "Unexpected error" not in space.log


def test_the_quota_is_that_of_whoever_calls(space: RunningApp, visitor: Client, lender: Lender, tmp_path: Path) -> None:
    """The Hub's proxy turns the caller's own token into this header; every borrowing must hand it on, slices too."""
    Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / "noise.png")
    token = f"e30.{base64.urlsafe_b64encode(b'{}').decode().rstrip('=')}.signature"
    caller = Client(space.url, verbose=False, headers={"x-ip-token": token})
    lender.tokens.clear()
    caller.predict(steps=2, samples=1, api_name="/compare")
    caller.predict(handle_file(str(tmp_path / "noise.png")), "colourfulness", api_name="/score")
    run_id = caller.predict(epochs=1, settings=TINY, api_name="/start_run")["id"]
    wait_for(visitor, run_id, lambda s: s["state"] == "finished")
    assert len(lender.tokens) >= 3 and set(lender.tokens) == {token}
    lender.tokens.clear()
    visitor.predict(steps=2, samples=1, api_name="/compare")
    assert lender.tokens == [None]


def test_a_run_ends_with_the_quota_and_goes_on_with_another(space: RunningApp, lender: Lender) -> None:
    anonymous, signed_in = lender.welcome(left=75), lender.welcome(left=math.inf, account="regular")
    mine, theirs = as_visitor(space, anonymous), as_visitor(space, signed_in)
    long = {**TINY, "sampling_steps": 16, "batch_size": 8}
    lender.durations.clear()
    lender.pace = 8.0
    try:
        run_id = mine.predict(epochs=400, settings=long, api_name="/start_run")["id"]
        stopped = wait_for(mine, run_id, lambda s: s["state"] == "stopped")
        assert stopped["notice"].startswith("ZeroGPU quota exceeded") and "Resume the run to go on" in stopped["notice"]
        assert 0 < stopped["step"] < stopped["steps"] and stopped["result"] == f"run:{run_id}"
        assert len(lender.durations) >= 2 and set(lender.durations) == {30}
        refused_with = re.search(r"30s requested vs. (\d+)s left", stopped["notice"])
        assert refused_with and int(refused_with[1]) == int(anonymous.left) < 30
    finally:
        lender.pace = 1.0
    (run,) = [run for run in list_runs(space.log_file.parent / "runs") if run.id == run_id]
    before = run.status().step
    theirs.predict(run_id, api_name="/resume_run")
    wait_for(theirs, run_id, lambda s: s["step"] > before)
    theirs.predict(run_id, api_name="/stop_run")
    wait_for(theirs, run_id, lambda s: s["state"] == "stopped")
    assert_whole(run)

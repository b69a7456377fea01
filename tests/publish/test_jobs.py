"""Training on rented hardware: what is asked of the Hub, and that what a job is told to run does run."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import JobHardware

from ddpo.cli.main import main
from ddpo.cli.options import build_parser
from ddpo.common.exit_codes import FAILED, OUT_OF_TIME, WRONG_USAGE
from ddpo.errors import UserError
from ddpo.publish import jobs
from ddpo.runs import worker
from ddpo.runs.store import RunSpec
from ddpo.training.config import settings
from ddpo.training.recipes import make_config
from tests.helpers.hub_server import HubServer, use
from tests.helpers.jobs import BASE, SPACE, START, TINY, TOKEN, run_job
from tests.helpers.jobs import hub as hub  # a fixture


def test_the_hub_is_asked_for_the_hardware_the_time_and_the_same_start_command(
    hub: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--base", BASE, "--epochs", "7", "--learning-rate", "3e-5", "--time-budget", "90m"]
    assert main([*START, *more]) == 0
    (job,) = hub.jobs
    assert job["dockerImage"] == "python:3.12" and job["flavor"] == "l4x1"
    assert job["timeoutSeconds"] == 90 * 60 + jobs.OTHER_SECONDS and job["secrets"] == {"HF_TOKEN": TOKEN}
    shell, flag, script, name, *arguments = job["command"]
    assert (shell, flag, name, job["arguments"]) == ("bash", "-c", "train_space.py", [])
    assert "hf download me/studio --repo-type space" in script and "-r requirements.txt" in script
    options = build_parser().parse_args(arguments)
    assert (options.base, options.reward, options.recipe) == (BASE, "colourfulness", "quick")
    assert (options.push_to, options.time_budget, options.private) == ("me/church-ddpo", 5400.0, False)
    assert options.in_job and options.run_id.startswith("job-colourfulness-")
    volume = {"type": "bucket", "source": "me/ddpo-runs", "mountPath": "/data"}
    assert job["volumes"] == [volume] and hub.buckets == {"me/ddpo-runs": True}
    assert job["environment"]["DDPO_RUNS"] == "/data/runs"
    given = {s.name: getattr(options, s.name) for s in settings() if getattr(options, s.name) is not None}
    assert given == {"epochs": "7", "learning_rate": "3e-5"}
    assert "me/church-ddpo" in hub.repositories  # the token may write there, which was found out before
    out = capsys.readouterr().out
    assert f"{hub.url}/jobs/me/{1:024x}" in out and f"hf jobs logs --follow {1:024x}" in out
    assert "for 1 hour 30 minutes and takes 1 hour 45 minutes in all at the longest, $1.40 at the most." in out


def test_the_token_is_a_secret_and_nowhere_else(
    hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    assert main(START) == 0
    (job,) = hub.jobs
    assert job.pop("secrets") == {"HF_TOKEN": TOKEN} and TOKEN not in repr(job)
    assert not any(TOKEN in request.path for request in hub.requests)
    assert TOKEN not in "".join(capfd.readouterr()) + caplog.text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(TOKEN.encode() in path.read_bytes() for path in files)


def test_a_dry_run_shows_the_job_and_asks_the_hub_nothing(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*START, "--private", "--dry-run"]) == 0
    out = capsys.readouterr().out
    for words in (
        "l4x1",
        "python:3.12",
        SPACE,
        "HF_TOKEN (the value is not shown)",
        "4500 s",
        "me/church-ddpo (private)",
    ):
        assert words in out
    assert TOKEN not in out and hub.requests == []


def test_the_same_command_means_the_same_run_whatever_time_it_is_given() -> None:
    spec = RunSpec("church-64", "-", "colourfulness", "quick", make_config({}))
    other = RunSpec("church-64", "-", "colourfulness", "quick", make_config({"seed": "1"}))
    assert jobs.run_id(spec) == jobs.run_id(RunSpec("church-64", "-", "colourfulness", "quick", make_config({})))
    assert jobs.run_id(spec) != jobs.run_id(other)


def test_a_job_on_two_gpus_that_is_out_of_time_and_has_pushed_its_result_ends_well(
    hub: HubServer, tmp_path: Path
) -> None:
    arguments = [*START, "--on", "jobs:a10g-largex2", "--base", BASE, *TINY, "--time-budget", "0.01"]
    assert main(arguments) == 0  # one on a single GPU is run, killed and followed in tests/runs/test_followed_job.py
    assert "--nproc-per-node 2 train_space.py" in hub.jobs[0]["command"][2]
    done = run_job(hub, tmp_path / "container")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Stopped (out of time)" in done.stdout and f"Published: {hub.url}/me/church-ddpo" in done.stdout


def plan(flavor: str = "l4x1", code: str = SPACE, reward: str = "photographic", **values: str) -> jobs.JobPlan:
    spec = RunSpec("church-64", "-", reward, "quick", make_config(values))
    return jobs.plan_job(spec, values, flavor, code, "me/x")


def script(plan: jobs.JobPlan) -> str:
    return plan.command[2]


def test_there_is_a_process_for_each_gpu() -> None:
    processes = {
        flavor.value: script(plan(flavor.value)).partition("--nproc-per-node ")[2][:1] for flavor in JobHardware
    }
    assert {name: count for name, count in processes.items() if count and not name.endswith(f"x{count}")} == {}
    assert '\npython train_space.py "$@"' in script(plan("l4x1"))
    assert processes["l4x4"] == "4" and processes["a100-large"] == processes["l40sx1"] == processes["cpu-xl"] == ""


def test_what_the_run_needs_beyond_the_requirements_is_installed() -> None:
    assert script(plan(reward="over50")).count("requirements.txt transformers\n") == 1
    assert "requirements.txt\n" in script(plan())


def test_the_code_may_be_a_revision_of_a_space_or_a_git_repository() -> None:
    assert "hf download me/studio --repo-type space --revision v2 --local-dir code" in script(plan(code="me/studio@v2"))
    assert "git clone --quiet --depth 1 -- https://git.example/me/x code" in script(
        plan(code="https://git.example/me/x")
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--on", "l4x1"], "write jobs: and its name, as in jobs:l4x1"),
        (["--on", "jobs:l4x2"], "no hardware named 'l4x2' for jobs; did you mean 'l4x4'?"),
        (["--on", "jobs:toaster"], "no hardware named 'toaster' for jobs; choose one of cpu-basic"),
        (["--push-to", ""], "pushed at its end; add --push-to OWNER/NAME"),
        (["--push-to", "a b"], "cannot be the name of a repository"),
        (["--code", "git@github.com:me/x"], "give the id of its Space"),
        (["--code", "me/studio; rm -rf /"], "give the id of its Space"),
        (["--code", f"https://me:{TOKEN}@git.example/me/x"], "holds a name or password"),
        (["--bucket", "a b"], "cannot be the name of a storage bucket"),
        (["--log-with", "wandb"], "--log-with does not reach into a job"),
        (["--base", "."], "'.' lies on this machine"),
        (["--base", "nothing"], "'nothing' lies on this machine"),
        (["--epochs", "0"], "epochs must be at least 1"),
    ],
)
def test_wrong_usage_gets_one_sentence_and_starts_nothing(
    hub: HubServer, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    try:
        code: object = main([*START, *arguments])
    except SystemExit as ended:  # argparse's own
        code = ended.code
    err = capsys.readouterr().err
    assert code == WRONG_USAGE and words in err and err.count("\n") == 1 and TOKEN not in err
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dry-run"], "belong to a job; add --on"),
        (["--code", SPACE], "belong to a job; add --on"),
        (["--private"], "belongs to --push-to"),
        (["--on", "jobs:l4x1", "--push-to", "me/x"], "name its Space or git repository"),
    ],
)
def test_options_that_belong_together_are_asked_for(
    hub: HubServer, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["start", *arguments]) == WRONG_USAGE
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and hub.requests == []


def test_a_space_runs_its_own_code_in_the_job(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", SPACE)
    assert main([*(word for word in START if word not in ("--code", SPACE))]) == 0
    assert "hf download me/studio " in hub.jobs[0]["command"][2]


def refuse(status: int, message: str = "No") -> Callable[..., None]:
    return lambda hub, patch, tmp_path: setattr(hub, "refuse_jobs", (status, message))


def status(number: int) -> Callable[..., None]:
    def answer(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        patch.setattr(time, "sleep", lambda seconds: None)  # between two attempts
        hub.status = number

    return answer


def silent(at: str) -> Callable[..., None]:
    def go_silent(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        patch.setattr("ddpo.hub.client.SECONDS_TO_ANSWER", 0.5)
        patch.setattr("ddpo.hub.client.SECONDS_TO_WRITE", 0.5)
        hub.silent_at = at

    return go_silent


def token(value: str) -> Callable[..., None]:
    return lambda hub, patch, tmp_path: patch.setenv("HF_TOKEN", value)


def out_of_reach(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use("http://127.0.0.1:9", tmp_path / "cache", patch)
    patch.setenv("HF_TOKEN", TOKEN)


def no_space(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    del hub.repositories[f"spaces/{SPACE}"]


def no_program(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    del hub.repositories[f"spaces/{SPACE}"].files()["train_space.py"]


def no_such_hardware(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub.hardware.clear()


TROUBLES: dict[str, tuple[Callable[..., None], int, str]] = {
    "no token": (token(""), WRONG_USAGE, "There is no token to start a job with; log in"),
    "no token at all": (token(TOKEN + " x"), WRONG_USAGE, "cannot be one"),
    "unknown token": (token(TOKEN + "Unknown"), FAILED, "refuses the token, and no job was started"),
    "token that may only read": (token(TOKEN + "ReadOnly"), FAILED, "may not write to 'me/church-ddpo'"),
    "token that may not start jobs": (refuse(403), FAILED, "The token may not start jobs, and no job was started"),
    "no credit": (refuse(402, "Pay first"), FAILED, "no credit for jobs, and no job was started"),
    "refused": (refuse(400, "Not today."), FAILED, "refuses the job (HTTP 400): Not today."),
    "refused with the token in it": (refuse(400, f"Not {TOKEN}"), FAILED, "HTTP 400"),
    "too many": (refuse(429), FAILED, "no more requests for now, and no job was started"),
    "out of order": (status(503), FAILED, "out of order (HTTP 503), and no job was started"),
    "out of reach": (out_of_reach, FAILED, "cannot be reached, and no job was started"),
    "silent": (silent("/api/jobs/"), FAILED, "does not answer, and no job was started"),
    "silent when the job is started": (silent("/api/jobs/me"), FAILED, "/settings/jobs tells"),
    "no Space": (no_space, FAILED, "There is no Space 'me/studio'"),
    "no program in it": (no_program, FAILED, "holds train_space.py; check --code"),
    "no such hardware": (no_such_hardware, FAILED, "does not offer l4x1 for jobs"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_with_the_hub_is_told_in_a_sentence_without_the_token(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], trouble: str
) -> None:
    cause, code, words = TROUBLES[trouble]
    cause(hub, monkeypatch, tmp_path)
    started = time.monotonic()
    assert main(START) == code
    assert time.monotonic() - started < 15  # the silent Hub would let a client wait for 30 seconds
    out, err = capfd.readouterr()
    sentence = err.splitlines()[-1]
    assert words in sentence and sentence.endswith(".") and out == "" and TOKEN not in err and hub.jobs == []


def test_an_error_has_no_token_in_its_traceback(hub: HubServer) -> None:
    hub.refuse_jobs = (402, "Pay first")
    with pytest.raises(UserError) as caught:
        jobs.submit(plan())
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_result_that_cannot_be_pushed_is_tried_again_and_then_told_of(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        hub.status = None if len(pauses) > 2 else 500

    def train_and_fail(*arguments: Any, **options: Any) -> Any:
        outcome = carry_out(*arguments, **options)
        hub.status = 500  # from now on
        return outcome

    start = ["start", "--base", BASE, "--reward", "colourfulness", "--push-to", "me/x", *TINY, "--time-budget", "0.01"]
    carry_out = worker.carry_out
    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(worker, "carry_out", train_and_fail)
    assert main([*start, "--in-job"]) == FAILED and pauses == [30, 120]
    assert "It is kept in" in capsys.readouterr().err
    assert main(["resume", "latest", "--push-to", "me/x", "--time-budget", "0.01"]) == OUT_OF_TIME
    assert "me/x" in hub.repositories

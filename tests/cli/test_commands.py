"""Commands that are refused, and runs that fail, in a sentence and with the exit code that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ddpo.cli.main import main
from ddpo.runs.store import list_runs
from tests.helpers.forks import train, train_in_two
from tests.helpers.run_folders import make_run
from tests.helpers.trainer_command import TINY, only_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.mark.parametrize("tracker", ["trackio", "wandb", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_asked_for_before_anything_is_made(
    tracker: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ddpo.cli.training.find_spec", lambda name: None)
    assert main(["--root", str(root), "start", "--log-with", tracker]) == 2
    assert capsys.readouterr().err == f"--log-with {tracker} needs a package: `pip install {tracker}`.\n"
    assert not root.exists()


@pytest.mark.parametrize(
    ("trained", "command"),
    [(train, "start"), (train, "resume"), (train_in_two, "start")],
    ids=["start", "resume", "two processes"],
)
def test_a_tracker_that_cannot_start_leaves_everything_as_it_was(
    root: Path, tiny_folder: Path, trained: Callable[..., CompletedProcess[str]], command: str
) -> None:
    run = make_run(root, "stopped", 1, base=tiny_folder)
    before = run.status()
    (root / "trackers").touch()  # where TensorBoard's folder should come
    what = ["resume", run.id] if command == "resume" else ["start", "--base", tiny_folder, *TINY]
    done = trained(root, *what, "--log-with", "tensorboard")
    assert 'train_space.py", line' not in done.stderr and done.stderr.count("The tracker cannot be started: ") == 1
    printed = [line for line in done.stdout.splitlines() if not line.startswith("[Gloo]")]  # by torch's own processes
    assert "leave --log-with out." in done.stderr and not printed and done.returncode == 2
    assert only_run(root) == run and run.status() == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ValueError('no model of taste')", "no model of taste"),
        ("return images.mean((1, 2, 3)) * float('nan')", "8 that are not finite"),
        ("return images.mean((1, 2, 3))[:2]", "8 finite scores for 8 pictures; it returned (2,)"),
    ],
)
def test_a_bad_reward_marks_the_run_as_failed_and_it_goes_on_once_mended(
    root: Path, tiny_folder: Path, tmp_path: Path, body: str, words: str
) -> None:
    file = tmp_path / "own_reward.py"
    good = "return images.mean((1, 2, 3))"
    head = "calls = 0\ndef score(images):\n    global calls\n    calls += 1"
    file.write_text(f"{head}\n    if calls == 2:\n        {body}\n    {good}\n")
    arguments = ["start", "--base", tiny_folder, "--reward", "own_reward:score", *TINY]
    done = train(root, *arguments, cwd=tmp_path)
    run = only_run(root)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert words in done.stderr and words in str(run.status().error) and run.status().state == "failed"
    assert [epoch.epoch for epoch in run.epochs()] == [1] and "resume" in done.stderr
    assert max((run.folder / "checkpoints").glob("*.pt")).stem.endswith("9")  # the samples of epoch 2 are kept too
    file.write_text(f"seen = 0\ndef score(images):\n    print('scored')\n    {good}\n")
    again = train(root, "resume", "latest", cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("scored") == 2 + 2  # two epochs, and the end against the base
    assert [epoch.epoch for epoch in run.epochs()] == [1, 2, 3] and run.status().state == "finished"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["start", "--epochs", "0"], "epochs must be at least 1"),
        (["start", "--epoch-count", "3"], "--epoch-count"),
        (["start", "--recipe", "slow"], "quick, fast, short, zerogpu, paper"),
        (["start", "--reward", "beauty"], "photographic"),
        (["start", "--pair", "church-1"], "church-64"),
        (["start", "--time-budget", "soon"], "10m"),
        (["resume", "nothing"], "nothing"),
        (["status"], "no runs yet"),
        (["launch"], "launch"),
    ],
)
def test_wrong_usage_gets_one_sentence_and_code_2(root: Path, arguments: list[str], words: str) -> None:
    done = train(root, *arguments)
    assert done.returncode == 2 and words in done.stderr
    assert done.stderr.count("\n") == 1 and not list_runs(root)


def test_a_precision_that_is_none_is_refused(
    root: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DDPO_PRECISION", "float16")
    assert main(["--root", str(root), "start", "--base", str(tiny_folder), *TINY]) == 2
    assert "must be auto, float32 or bfloat16, and 'float16' is not" in capsys.readouterr().err
    assert not list_runs(root)


def test_a_base_is_found_again_from_another_folder(tiny_folder: Path, root: Path, tmp_path: Path) -> None:
    arguments = ["start", "--base", tiny_folder.name, "--reward", "colourfulness", *TINY, "--time-budget", "0.01"]
    assert train(root, *arguments, cwd=tiny_folder.parent).returncode == 4
    assert train(root, "resume", "latest", "--time-budget", "0.01", cwd=tmp_path).returncode == 4
    wrong = train(root, "start", "--base", tmp_path, *TINY)
    assert wrong.returncode == 2 and "holds no diffusion model" in wrong.stderr and only_run(root)

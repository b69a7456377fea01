"""Whole runs of algorithm draft through train_space.py: killed, on two processes, and with wrong settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpo.cli.main import main
from ddpo.runs.store import create_run
from tests.helpers import forks
from tests.helpers.trainer_command import assert_same_weights, only_run
from tests.helpers.waiting import wait_for

DRAFT = [
    "--algorithm", "draft", "--epochs", "5", "--batches-per-epoch", "2", "--batch-size", "4", "--accumulation", "1",
    "--sampling-steps", "4", "--trained-steps", "3", "--truncation", "random", "--output-penalty", "0.5", "--window",
    "random", "--group-size", "1", "--kl-weight", "0", "--diversity-floor", "0.5", "--inner-epochs", "2",
    "--ema-decay", "0.5", "--learning-rate", "1e-4", "--gradient-checkpointing", "true",
]  # fmt: skip


def start(model: Path, *more: str) -> list[str]:
    return ["start", "--base", str(model), "--reward", "colourfulness", *DRAFT, *more]


def test_a_killed_run_and_two_processes_end_like_one_in_one_go(tmp_path: Path, tiny_folder: Path) -> None:
    assert forks.train(tmp_path / "one" / "runs", *start(tiny_folder)).returncode == 0
    whole = only_run(tmp_path / "one" / "runs")
    assert whole.epochs()[-1].output_change > 0 and whole.status().state == "finished"

    root = tmp_path / "killed" / "runs"
    run = create_run(root, whole.spec)
    process = forks.begin(root, "resume", run.id)
    wait_for(lambda: run.status().step >= 3, forks.PATIENCE)
    process.kill()
    process.communicate()
    assert 3 <= run.status().step < 35  # of 5 epochs of 2 batches, the scoring, and 4 updates
    assert forks.train(root, "resume", run.id).returncode == 0
    assert_same_weights(run, whole)

    both = forks.train_in_two(tmp_path / "two" / "runs", *start(tiny_folder, "--batch-size", "2"))
    assert both.returncode == 0, both.stderr
    assert_same_weights(only_run(tmp_path / "two" / "runs"), whole, tolerance=2e-5)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--reward", "jpeg-compressibility"], "has no gradient, which algorithm draft follows"),
        (["--noisings", "2"], "noisings (2) are of the last step alone"),
        (["--kl-weight", "0.1"], "kl_weight to 0 with it, and output_penalty in place"),
        (["--algorithm", "ddpo-is"], "are settings of algorithm draft"),
    ],
)
def test_what_does_not_go_together_gets_a_sentence(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert main(["--root", str(tmp_path / "runs"), *start(tiny_folder, *more)]) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and not (tmp_path / "runs").exists()

"""`make test-versions`: what it runs, what it writes down, and that it goes on where it was."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from scripts import test_versions as versions

PYTHON = ".".join(map(str, sys.version_info[:2]))
CASE = versions.Case("here", PYTHON, torch.__version__, "0.0.0")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of environments with one that is ready: this interpreter."""
    interpreter = tmp_path / CASE.name / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o755)
    (tmp_path / CASE.name / "ready").write_text(versions.contents(CASE))
    monkeypatch.setattr(versions, "CASES", (CASE,))
    monkeypatch.setattr(versions, "RESULTS", tmp_path / "versions.json")
    monkeypatch.setattr(versions, "PAGE", tmp_path / "docs" / "versions.md")
    monkeypatch.setattr(versions, "head_commit", lambda: "0123456789ab")
    return tmp_path


def run(folder: Path, *arguments: str) -> int:
    return versions.main(["--environments", str(folder), "--skip-resolution", *arguments])


def rows(folder: Path) -> list[versions.Row]:
    return [versions.Row(**row) for row in json.loads((folder / "versions.json").read_text())["suites"]]


def test_a_suite_is_counted_and_one_that_failed_is_run_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = folder / "test_it.py"
    tests = "import pytest\ndef test_one(): pass\n@pytest.mark.skip\ndef test_two(): pass\ndef test_three(): {}\n"
    suite.write_text(tests.format("assert 0"))
    assert run(folder, "--", str(suite)) == 1
    (row,) = rows(folder)
    assert (row.passed, row.failed, row.skipped, row.finished) == (1, 1, 1, True)
    assert row.torch == torch.__version__ and row.failures[0].endswith("::test_three")

    suite.write_text(tests.format("pass"))
    assert run(folder, "--", str(suite)) == 0
    (row,) = rows(folder)
    assert (row.passed, row.failed, row.skipped) == (2, 0, 1) and row.arguments == [str(suite)]
    assert f"| {row.python} | {torch.__version__} |" in (folder / "docs" / "versions.md").read_text()

    suite.unlink()  # what passed is not run again
    capsys.readouterr()
    assert run(folder, "--", str(suite)) == 0
    assert "passed at this commit already" in capsys.readouterr().out


def test_a_suite_that_runs_out_of_time_is_no_success(folder: Path) -> None:
    suite = folder / "test_it.py"
    suite.write_text("import time\ndef test_one(): time.sleep(100)\n")
    assert run(folder, "--hours", "0.001", "--", str(suite)) == 1
    assert not rows(folder)[0].finished and "not finished" in (folder / "docs" / "versions.md").read_text()


def test_the_lowest_of_everything_is_read_from_the_requirements() -> None:
    (lowest,) = [case for case in versions.CASES if case.lowest]
    pins = dict(pin.split("==") for pin in versions._pins(lowest))
    named = re.findall(r"(?m)^([\w.-]+).*>=", (versions.ROOT / "requirements.txt").read_text(encoding="utf-8"))
    assert sorted(pins) == sorted(set(named)) and len(pins) >= 12
    assert (pins["torch"], pins["torchvision"]) == (lowest.torch, lowest.torchvision)
    found = versions.lowest_versions()
    assert lowest.torch.startswith(f"{found['torch']}.") and lowest.torchvision.startswith(f"{found['torchvision']}.")


def test_what_is_missing_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(versions.Stop, match=r"no Python 2\.9 here; install it, or name it with --python 2\.9=PATH"):
        versions.find_python("2.9", {})
    assert versions.find_python(PYTHON, {PYTHON: "/some/python"}) == "/some/python"
    with pytest.raises(SystemExit):
        run(folder, "--python", "3.12")
    assert "as in 3.12=/usr/bin/python3.12" in capsys.readouterr().err

"""Runs the test suite with every pair of Python and torch that is promised, and writes down what came of it.

    python scripts/test_versions.py                           # or: make test-versions
    python scripts/test_versions.py --only py312-lowest --skip-resolution       # or: make test-lowest
    python scripts/test_versions.py --only py312-lowest -- tests/training/test_trainer.py -x

Each pair has a virtual environment of its own, made from requirements-dev.txt. That of the lowest torch has the lowest
version of everything that requirements.txt allows. A pair that passed at this commit with
these arguments is left out, so an interrupted call is taken up by calling it again. Whatever follows `--` goes to
pytest. Only the standard library is needed here, and the script is one file, though a long one, so that it runs with
any Python that is at hand.

Before the suites, pip is asked on Python 3.12 what it would install: without a constraint, and with each torch that
ZeroGPU supports (scripts/space_host.json) as the only one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HOST = ROOT / "scripts" / "space_host.json"
RESULTS = ROOT / "benchmarks" / "results" / "versions.json"
PAGE = ROOT / "docs" / "versions.md"
SPACE_PYTHON = "3.12"
PIP_SETTINGS = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


@dataclass(frozen=True)
class Case:
    """A pair to test, with the torchvision that belongs to its torch."""

    name: str
    python: str  # major and minor
    torch: str
    torchvision: str
    lowest: bool = False  # with the lowest allowed version of everything else too


CASES = (
    Case("py311-torch213", "3.11", "2.13.0", "0.28.0"),
    Case("py312-torch211", SPACE_PYTHON, "2.11.0", "0.26.0"),
    Case("py312-lowest", SPACE_PYTHON, "2.8.0", "0.23.0", lowest=True),
)


@dataclass(frozen=True)
class Row:
    """What a suite gave."""

    name: str
    python: str
    torch: str
    torchvision: str
    platform: str
    passed: int
    failed: int  # with errors of set-up
    skipped: int
    seconds: int
    date: str
    commit: str  # "-dirty" is appended where files were changed
    arguments: list[str]  # pytest's
    finished: bool  # False: pytest ended early, was stopped or ran out of time
    failures: list[str] = field(default_factory=list)

    @property
    def green(self) -> bool:
        """Whether all tests ran and none failed."""
        return self.finished and self.passed > 0 and not self.failed


class Stop(Exception):  # noqa: N818, it ends the script with a sentence
    """Something outside this script is missing."""


def main(arguments: list[str] | None = None) -> int:
    """0 where everything asked for passed, now or before; 1 otherwise; 2 for a wrong call."""
    options, pytest_arguments = _read(sys.argv[1:] if arguments is None else arguments)
    cases = [case for case in CASES if case.name in options.only]
    report = _load()
    try:
        if not options.skip_resolution:
            _note_resolutions(report, options.environments, options.python)
        rows = [_tested(case, report, options, pytest_arguments) for case in cases]
    except Stop as stop:
        print(stop, file=sys.stderr)
        return 1
    good = all(row.green for row in rows) and all(one["supported"] for one in report["resolutions"])
    return 0 if good else 1


def _read(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], usage="%(prog)s [options] [-- PYTEST ...]")
    names = [case.name for case in CASES]
    parser.add_argument("--only", action="append", choices=names, help="this pair alone; may be given several times")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv" / "versions", help="folder to keep them in")
    parser.add_argument("--python", action="append", default=[], metavar="3.12=PATH", help="an interpreter to use")
    parser.add_argument("--again", action="store_true", help="test what was already tested at this commit")
    parser.add_argument("--skip-resolution", action="store_true", help="do not ask pip what it would install")
    parser.add_argument("--hours", type=float, default=2.0, help="after which a suite is stopped; %(default)s")
    options = parser.parse_args(arguments[:end])
    options.only = options.only or names
    if any("=" not in text for text in options.python):
        parser.error("--python takes a version and a path, as in 3.12=/usr/bin/python3.12")
    options.python = dict(text.split("=", 1) for text in options.python)
    return options, arguments[end + 1 :]


# Environments


def find_python(version: str, given: dict[str, str]) -> str:
    """An interpreter of a version: as given, on the PATH, or the newest of pyenv's.

    Raises:
        Stop: there is none.
    """
    if version in given:
        return given[version]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")), reverse=True),
    ]
    for candidate in filter(None, candidates):
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(asked, capture_output=True, text=True)  # pyenv's shims exist for what is not installed
        if answer.stdout.strip() == version:
            return candidate
    raise Stop(f"There is no Python {version} here; install it, or name it with --python {version}=PATH.")


def _pins(case: Case) -> tuple[str, ...]:
    pins = {"torch": case.torch, "torchvision": case.torchvision}
    return tuple(
        f"{name}=={version}" for name, version in {**(lowest_versions() if case.lowest else {}), **pins}.items()
    )


def lowest_versions() -> dict[str, str]:
    """The lowest version of each package that requirements.txt allows."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {found[1]: found[2] for line in lines if (found := re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", line))}


def contents(case: Case) -> str:
    """A mark of what the case's environment must hold, which is written into it once it does."""
    files = [(ROOT / name).read_text(encoding="utf-8") for name in ("requirements.txt", "requirements-dev.txt")]
    return hashlib.sha256("\n".join([*files, *_pins(case)]).encode()).hexdigest()


def make_environment(case: Case, folder: Path, given: dict[str, str]) -> str:
    """The interpreter of the case's environment, with everything installed.

    Raises:
        Stop: something cannot be installed.
    """
    home = folder / case.name
    interpreter = str(home / "bin" / "python")
    ready = home / "ready"
    if ready.is_file() and ready.read_text() == contents(case):
        return interpreter
    wanted = _pins(case)
    print(f"{case.name}: installing into {home}", flush=True)
    _make_venv(home, case.python, given)
    constraints = home / "constraints.txt"
    constraints.write_text("".join(f"{line}\n" for line in wanted))
    command = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "-r",
        "requirements-dev.txt",
        "--constraint",
        str(constraints),
    ]
    if subprocess.run([interpreter, *command], cwd=ROOT, env=os.environ | PIP_SETTINGS).returncode:
        raise Stop(f"{case.name}: pip could not install requirements-dev.txt with {' and '.join(wanted)}.")
    ready.write_text(contents(case))
    return interpreter


def _make_venv(home: Path, version: str, given: dict[str, str]) -> None:
    """A virtual environment with pip, unless it is there; one that was made by halves is made anew."""
    interpreter = home / "bin" / "python"
    if (
        not interpreter.exists()
        or subprocess.run([interpreter, "-m", "pip", "--version"], capture_output=True).returncode
    ):
        subprocess.run([find_python(version, given), "-m", "venv", "--clear", str(home)], check=True)


# What pip would choose


def resolve(interpreter: str, constraint: str | None) -> dict[str, Any]:
    """What pip would install of torch and torchvision from requirements.txt into an empty environment."""
    command = [interpreter, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command += ["-r", "requirements.txt"]
    folder = Path(interpreter).parents[1]
    if constraint:
        (folder / "host.txt").write_text(f"{constraint}\n")
        command += ["--constraint", str(folder / "host.txt")]
    answer = subprocess.run(command, cwd=ROOT, env=os.environ | PIP_SETTINGS, capture_output=True, text=True)
    found: dict[str, Any] = {"constraint": constraint, "torch": None, "torchvision": None}
    if answer.returncode:
        print(answer.stderr[-2000:], file=sys.stderr)
        return found
    installed = {
        one["metadata"]["name"].lower(): one["metadata"]["version"] for one in json.loads(answer.stdout)["install"]
    }
    return found | {name: installed.get(name) for name in ("torch", "torchvision")}


def _note_resolutions(report: dict[str, Any], folder: Path, given: dict[str, str]) -> None:
    """Ask pip on the Space's Python, in an environment that holds nothing else, and write its answers down."""
    home = folder / "resolution"
    _make_venv(home, SPACE_PYTHON, given)
    supported = json.loads(HOST.read_text(encoding="utf-8"))["zero_gpu"]["torch"]
    report["resolutions"] = []
    for constraint in (None, *(f"torch=={version}" for version in supported)):
        found = resolve(str(home / "bin" / "python"), constraint)
        found["supported"] = found["torch"] in supported
        print(
            f"{constraint or 'no constraint'}: torch {found['torch']}, torchvision {found['torchvision']}", flush=True
        )
        report["resolutions"].append(found)
        _save(report)


# The suites


def _tested(case: Case, report: dict[str, Any], options: argparse.Namespace, arguments: list[str]) -> Row:
    """The case's row: the one in the report where it still holds, else a new one, which is saved at once."""
    commit = head_commit()
    old = next((Row(**row) for row in report["suites"] if row["name"] == case.name), None)
    if old and old.green and not options.again and (old.commit, old.arguments) == (commit, arguments):
        print(f"{case.name}: passed at this commit already; --again tests it again")
        return old
    interpreter = make_environment(case, options.environments, options.python)
    _save(report | {"suites": [one for one in report["suites"] if Row(**one).green]})  # a test wants them all to be
    row = run_suite(case, interpreter, options.environments, arguments, commit, options.hours)
    report["suites"] = [one for one in report["suites"] if one["name"] != case.name] + [asdict(row)]
    _save(report)
    print(
        f"{case.name}: {row.passed} passed, {row.failed} failed, {row.skipped} skipped in {row.seconds} s", flush=True
    )
    return row


def run_suite(case: Case, interpreter: str, folder: Path, arguments: list[str], commit: str, hours: float) -> Row:
    """Run pytest; its output goes to a log beside the environment."""
    log, xml = folder / f"{case.name}.log", folder / f"{case.name}.xml"
    xml.unlink(missing_ok=True)
    print(f"{case.name}: testing; see {log}", flush=True)
    command = [interpreter, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={xml}", *arguments]
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        try:
            code = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, timeout=hours * 3600).returncode
        except subprocess.TimeoutExpired:
            code = -1
    seconds = round(time.monotonic() - started)
    counts, failures = _counts(xml)
    facts = "import platform as p, torch, torchvision as v; print(p.python_version(), torch.__version__, v.__version__)"
    found = subprocess.run([interpreter, "-c", f"import ddpo; {facts}"], cwd=ROOT, capture_output=True, text=True)
    python, torch, torchvision = found.stdout.split() or (case.python, case.torch, case.torchvision)
    return Row(
        case.name, python, torch, torchvision, f"{platform.system()} {platform.machine()}, {_cores()} cores", *counts,
        seconds, date.today().isoformat(), commit, arguments, code in (0, 1), failures,
    )  # fmt: skip


def _counts(xml: Path) -> tuple[tuple[int, int, int], list[str]]:
    """Passed, failed and skipped, and the names of those that failed; all zero where pytest left no report."""
    if not xml.is_file():
        return (0, 0, 0), []
    passed = failed = skipped = 0
    failures = []
    for test in ElementTree.parse(xml).getroot().iter("testcase"):
        kinds = {child.tag for child in test}
        if kinds & {"failure", "error"}:
            failed += 1
            failures.append(f"{test.get('classname')}::{test.get('name')}")
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
    return (passed, failed, skipped), failures


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def head_commit() -> str:
    """The commit that is tested; what this script itself writes does not count as a change."""

    def git(*command: str) -> str:
        return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    own = [f":!{path.relative_to(ROOT)}" for path in (RESULTS, PAGE)]
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *own)
    return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")


# What is kept


def _load() -> dict[str, Any]:
    if RESULTS.is_file():
        found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
        return found
    return {"suites": [], "resolutions": []}


def _save(report: dict[str, Any]) -> None:
    order = [case.name for case in CASES]
    report["suites"].sort(key=lambda row: order.index(row["name"]) if row["name"] in order else len(order))
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(report), encoding="utf-8")


def page(report: dict[str, Any]) -> str:
    """docs/versions.md."""
    suites = [
        f"| {row['python']} | {row['torch']} | {row['torchvision']} | {row['platform']} | {row['passed']} "
        f"| {row['failed']} | {row['skipped']} | {row['seconds']} | {row['date']} | {row['commit']} "
        f"| {' '.join(row['arguments']) or 'whole'}{'' if row['finished'] else ', not finished'} |"
        for row in report["suites"]
    ]
    resolutions = [
        f"| {one['constraint'] or 'none'} | {one['torch'] or 'nothing'} | {one['torchvision'] or 'nothing'} "
        f"| {'yes' if one['supported'] else 'no'} |"
        for one in report["resolutions"]
    ]
    return PAGE_TEXT.format(
        suites="\n".join(suites or ["| none was run yet |" + " |" * 10]), resolutions="\n".join(resolutions)
    )


PAGE_TEXT = """# Versions of Python and PyTorch

`make test-versions` (`scripts/test_versions.py`) wrote this page and its
[figures](../benchmarks/results/versions.json).

## The test suite

| Python | torch | torchvision | platform | passed | failed | skipped | seconds | date | commit | tests |
|---|---|---|---|---|---|---|---|---|---|---|
{suites}

## What pip installs on a Space

Python 3.12, `pip install --dry-run --ignore-installed -r requirements.txt --constraint FILE`. The constraint stands for
a host that has this torch alone. The versions that ZeroGPU supports, with date and source, are in
[scripts/space_host.json](../scripts/space_host.json).

| constraint | torch | torchvision | supported by ZeroGPU |
|---|---|---|---|
{resolutions}
"""


if __name__ == "__main__":
    sys.exit(main())

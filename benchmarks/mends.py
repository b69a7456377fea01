"""Whether the tests would notice if a mend were taken out again: python -m benchmarks.mends

Each entry of benchmarks/mends.toml names what was found when the app was attacked, and the text of its mend. In a copy
of the working tree the mend is undone, and its tests must fail. Without that they must pass, which is shown first.
Writes benchmarks/results/mends.json after each, and goes on there when it is called again. The exit code is 1 where a
mend could be undone unnoticed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from benchmarks.hostile import commit
from benchmarks.machine import describe_machine
from tests.helpers.here import ROOT

MENDS = Path(__file__).with_suffix(".toml")
RESULTS = ROOT / "benchmarks" / "results" / "mends.json"
MOST_SECONDS = "150"  # for a test; without its mend it may hang


@dataclass(frozen=True)
class Mend:
    """What was found, and how its mend is undone: the text `old`, which is there once, becomes `new`."""

    found: str
    file: str
    old: str
    new: str
    tests: list[str]


@dataclass(frozen=True)
class Outcome:
    """What became of the tests of a mend that was undone."""

    found: str
    file: str
    failed: list[str]  # without the mend

    @property
    def noticed(self) -> bool:
        """Whether a test failed."""
        return bool(self.failed)


def read_mends() -> list[Mend]:
    """All of them."""
    return [Mend(**entry) for entry in tomllib.loads(MENDS.read_text(encoding="utf-8"))["mend"]]


def undone(mend: Mend, text: str) -> str:
    """The text of its file without the mend.

    Raises:
        ValueError: the mend is not there exactly once.
    """
    if text.count(mend.old) != 1:
        raise ValueError(f"{mend.file} has the mend of {mend.found!r} {text.count(mend.old)} times; see {MENDS.name}.")
    return text.replace(mend.old, mend.new)


def copy_tree(folder: Path) -> None:
    """The files of the working tree that git knows."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)


def failures(folder: Path, tests: list[str]) -> list[str]:
    """The names of those tests that fail there.

    Raises:
        RuntimeError: pytest could not run them.
    """
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-rfE", f"--timeout={MOST_SECONDS}", *tests]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    found = re.findall(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE)
    if "Timeout" in ended.stdout + ended.stderr and not found:
        return ["timeout"]
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {ended.returncode}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return sorted(set(found))


def main() -> int:
    """Undo what is left to undo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    before = json.loads(options.out.read_text()) if options.out.exists() else {}
    outcomes = [Outcome(**one) for one in before.get("mends", [])] if before.get("commit") == commit() else []
    mends = read_mends()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_tree(folder)
        if not outcomes and (broken := failures(folder, sorted({test for mend in mends for test in mend.tests}))):
            print(f"With all mends in place these fail: {', '.join(broken)}")
            return 1
        for mend in mends[len(outcomes) :]:
            path = folder / mend.file
            whole = path.read_text(encoding="utf-8")
            path.write_text(undone(mend, whole), encoding="utf-8")
            outcomes.append(Outcome(mend.found, mend.file, failures(folder, mend.tests)))
            path.write_text(whole, encoding="utf-8")
            print(f"{'noticed  ' if outcomes[-1].noticed else 'UNNOTICED'} {mend.found}", flush=True)
            _write(options.out, outcomes)
    return 0 if all(outcome.noticed for outcome in outcomes) else 1


def _write(path: Path, outcomes: list[Outcome]) -> None:
    results = {
        "machine": describe_machine(),
        "date": date.today().isoformat(),
        "commit": commit(),
        "undone": len(outcomes),
        "noticed": sum(outcome.noticed for outcome in outcomes),
        "mends": [asdict(outcome) for outcome in outcomes],
    }
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""The hostile tests at ten times their size, with new examples each time, for as long as is asked.

    python -m benchmarks.hostile --minutes 30

Runs one file of tests/hostile after the other with `--hypothesis-profile=long`, each time with a seed of its own, until
the time is over; the file under way is finished. Writes benchmarks/results/hostile-long.json: seeds, examples and
findings. `--add` keeps what earlier calls found at this commit, so that the time may be spent in pieces.
`pytest -n 0 FILE --hypothesis-profile=long --hypothesis-seed=N` makes the examples of an entry again.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from benchmarks.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "hostile-long.json"
FILES = ("test_any_call", "test_any_file", "test_hostile_models", "test_hostile_pictures")
_EXAMPLES = re.compile(r"- (\d+) passing(?: examples)?, (\d+) failing")  # some releases leave the word out


@dataclass(frozen=True)
class Round:
    """One run of a file of tests."""

    tests: str
    seed: int
    seconds: float
    passed: int  # tests
    examples: int  # that properties were tried with, invalid ones left out
    findings: list[str]  # the names of tests that failed


def count(tests: str, seed: int, seconds: float, output: str) -> Round:
    """What pytest has printed, with --hypothesis-show-statistics and -rfE, as figures."""
    passed = re.search(r"(\d+) passed", output)
    examples = sum(int(good) + int(bad) for good, bad in _EXAMPLES.findall(output))
    findings = sorted(set(re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)))
    return Round(tests, seed, round(seconds, 1), int(passed[1]) if passed else 0, examples, findings)


def run_round(tests: str, seed: int) -> tuple[Round, str]:
    """Run a file of tests once.

    Returns:
        The figures, and what pytest has printed.

    Raises:
        RuntimeError: pytest could not run them.
    """
    command = [
        sys.executable, "-m", "pytest", "-n", "0", tests, "--hypothesis-profile=long", f"--hypothesis-seed={seed}",
        "--hypothesis-show-statistics", "-q", "-rfE", "--timeout", "3600",
    ]  # fmt: skip
    begun = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {ended.returncode}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return count(tests, seed, time.monotonic() - begun, ended.stdout), ended.stdout


def commit() -> str:
    """The commit that is tested, with "-dirty" where files were changed."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty", "--abbrev=12"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    """Run rounds until the time is over; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--add", action="store_true", help="to what earlier calls found at this commit")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    before = json.loads(options.out.read_text()) if options.add and options.out.exists() else {}
    rounds = [Round(**one) for one in before.get("rounds", [])] if before.get("commit") == commit() else []
    begun = time.monotonic()
    while time.monotonic() - begun < 60 * options.minutes:
        one, output = run_round(f"tests/hostile/{FILES[len(rounds) % len(FILES)]}.py", secrets.randbelow(1 << 32))
        rounds.append(one)
        print(json.dumps(asdict(one)), flush=True)
        if one.findings:
            print(output, flush=True)
        _write(options.out, rounds)
    return 1 if any(one.findings for one in rounds) else 0


def _write(path: Path, rounds: list[Round]) -> None:
    results = {
        "machine": describe_machine(),
        "date": date.today().isoformat(),
        "commit": commit(),
        "minutes": round(sum(one.seconds for one in rounds) / 60, 1),
        "examples": sum(one.examples for one in rounds),
        "findings": sorted({finding for one in rounds for finding in one.findings}),
        "rounds": [asdict(one) for one in rounds],
    }
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""The hostile tests at ten times their size, with new examples each time, for as long as is asked.

    python -m benchmarks.hostile --minutes 30

Runs `pytest tests/hostile --hypothesis-profile=long` again and again, each round with a seed of its own, until the time
is over; the round under way is finished. Writes benchmarks/results/hostile-long.json: rounds, examples and findings.
`pytest -n 0 tests/hostile --hypothesis-profile=long --hypothesis-seed=N` makes the examples of a round again.
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
TESTS = "tests/hostile"
_EXAMPLES = re.compile(r"- (\d+) passing(?: examples)?, (\d+) failing")  # some releases leave the word out


@dataclass(frozen=True)
class Round:
    """One run of all hostile tests."""

    seed: int
    seconds: float
    passed: int  # tests
    examples: int  # that properties were tried with, invalid ones left out
    findings: list[str]  # the names of tests that failed


def count(seed: int, seconds: float, output: str) -> Round:
    """What pytest has printed, with --hypothesis-show-statistics and -rfE, as figures."""
    passed = re.search(r"(\d+) passed", output)
    examples = sum(int(good) + int(bad) for good, bad in _EXAMPLES.findall(output))
    findings = sorted(set(re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)))
    return Round(seed, round(seconds, 1), int(passed[1]) if passed else 0, examples, findings)


def run_round(seed: int, tests: str = TESTS) -> tuple[Round, str]:
    """Run the tests once.

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
    return count(seed, time.monotonic() - begun, ended.stdout), ended.stdout


def main() -> int:
    """Run rounds until the time is over; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rounds: list[Round] = []
    begun = time.monotonic()
    while not rounds or time.monotonic() - begun < 60 * options.minutes:
        one, output = run_round(secrets.randbelow(1 << 32))
        rounds.append(one)
        print(json.dumps(asdict(one)), flush=True)
        if one.findings:
            print(output, flush=True)
    findings = sorted({finding for one in rounds for finding in one.findings})
    results = {
        "machine": describe_machine(),
        "date": date.today().isoformat(),
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "examples": sum(one.examples for one in rounds),
        "findings": findings,
        "rounds": [asdict(one) for one in rounds],
    }
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"{results['examples']} examples in {results['minutes']} minutes: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

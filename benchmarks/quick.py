"""What a few minutes of finetuning give: gain and diversity of the recipe `quick` after 2, 5 and 10 minutes.

    python -m benchmarks.quick                    # four rewards, about 42 minutes
    python -m benchmarks.quick --reward colourfulness

Each run is `train_space.py start` with a time budget, then `resume` twice. The minutes are those of training: each time
6 seconds are added for loading the model, drawing the grids and saving; `training_seconds` is what the trainer used.
What it has then is compared with the base on 64 seeds that no run draws, with DDIM 50. Writes
benchmarks/results/quick.json. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import ddpo
from benchmarks.held_out import SEEDS, Eye
from benchmarks.machine import describe_machine
from ddpo.diffusion.catalogue import DEFAULT_PAIR
from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import choose_compute
from ddpo.runs.store import list_runs

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "quick.json"
REWARDS = ("photographic", "colourfulness", "jpeg-compressibility", "jpeg-incompressibility")
MINUTES = (2, 5, 10)
LOADING = 6  # seconds, and drawing grids and saving
OUT_OF_TIME = 4  # exit code of train_space.py


def train(folder: Path, command: list[str]) -> int:
    """Let train_space.py work on the runs of a folder; its exit code, 0 or OUT_OF_TIME.

    Raises:
        SystemExit: it failed.
    """
    code = subprocess.call([sys.executable, "train_space.py", "--root", str(folder), *command], cwd=ROOT)
    if code not in (0, OUT_OF_TIME):
        raise SystemExit(f"train_space.py ended with code {code}.")
    return code


def compare(folder: Path, eye: Eye) -> dict[str, Any]:
    """Where the newest run of a folder stands, and how its result compares with the base."""
    run = list_runs(folder)[0]
    status = run.status()
    return {
        "epoch": status.epoch,
        "samples": status.epoch * run.spec.config.samples_per_epoch(),
        "training_seconds": round(status.seconds),
        **eye.look(eye.draw(load_model(str(run.result), eye.compute).unet)),
    }


def measure(reward: str, settings: list[str], minutes: list[int]) -> list[dict[str, Any]]:
    """One run: a row for each of the minutes, which count from its start."""
    eye = Eye(reward=reward)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        command = ["start", "--pair", DEFAULT_PAIR, "--reward", reward, "--recipe", "quick", *settings]
        spent = 0
        for until in minutes:
            code = train(Path(name), [*command, "--time-budget", f"{(until - spent) * 60 + LOADING}s"])
            rows.append({"minutes": until, **compare(Path(name), eye)})
            print(reward, rows[-1], flush=True)
            if code == 0:
                break
            spent, command = until, ["resume", "latest"]
    return rows


def main() -> None:
    """Measure, print and write; rewards and minutes that are not asked for keep what the file has."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", description=__doc__.partition("\n")[0])
    parser.add_argument("--reward", action="append", choices=REWARDS, help="may be given several times; default: all")
    parser.add_argument("--minutes", type=int, nargs="+", default=list(MINUTES))
    parser.add_argument("--print-only", action="store_true", help="leave the file as it is")
    options, settings = parser.parse_known_args()  # what is left over goes to `train_space.py start`
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["rewards"] if RESULTS.exists() else {}
    for reward in options.reward or REWARDS:
        rows = [*known.get(reward, []), *measure(reward, settings, options.minutes)]
        latest = {row["minutes"]: row for row in rows}
        known[reward] = [latest[minutes] for minutes in sorted(latest)]
    results = {
        "machine": describe_machine(), "compute": str(choose_compute()), "threads": torch.get_num_threads(),
        "ddpo": ddpo.__version__, "seeds": SEEDS, "rewards": known,
    }  # fmt: skip
    if not options.print_only:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

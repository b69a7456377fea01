"""The algorithms on church-64 at equal samples: DDPO-IS and reward-weighted regression.

    python -m benchmarks.algorithms

The paper's comparison (Black et al. 2023, section 6.1) in small: runs of `train_space.py` that draw the same number of
pictures, measured as in benchmarks/quick.py. Writes benchmarks/results/algorithms.json.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import ddpo
from benchmarks.machine import describe_machine
from benchmarks.quick import ROOT, SEEDS, compare, draw, train
from ddpo.diffusion.catalogue import DEFAULT_PAIR
from ddpo.diffusion.precision import choose_compute
from ddpo.runs.pairs import get_pair

RESULTS = ROOT / "benchmarks" / "results" / "algorithms.json"
REWARD, EPOCHS = "photographic", 12
# As in the paper: fully noisy trajectories, steps from anywhere in them, no groups, no KL penalty.
FREE = [
    "--window", "random", "--group-size", "1", "--eta", "1", "--kl-weight", "0", "--diversity-floor", "0",
    "--sampling-steps", "20", "--inner-epochs", "1", "--trained-steps", "5", "--clip-range", "1e-4",
    "--shift-timesteps", "false", "--ema-decay", "0", "--learning-rate", "1.2e-4",
]  # fmt: skip
RUNS: dict[str, list[str]] = {
    "ddpo-is, the recipe quick": [],
    "ddpo-is, as in the paper": FREE,
    "rwr": [*FREE, "--algorithm", "rwr"],
}


def main() -> None:
    """Measure, print and write."""
    base = draw(get_pair(DEFAULT_PAIR).base)
    rows = []
    for name, settings in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            command = ["start", "--pair", DEFAULT_PAIR, "--reward", REWARD, "--recipe", "quick"]
            train(Path(folder), [*command, "--epochs", str(EPOCHS), *settings])
            rows.append({"algorithm": name, "settings": " ".join(settings), **compare(Path(folder), REWARD, base)})
        print(rows[-1], flush=True)
    results = {
        "machine": describe_machine(), "compute": str(choose_compute()), "ddpo": ddpo.__version__,
        "reward": REWARD, "seeds": len(SEEDS), "rows": rows,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

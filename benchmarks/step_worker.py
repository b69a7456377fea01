"""A process that times steps of church-64's network when it is told to; `benchmarks.company` starts several."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ddpo.common import company

ROOT = Path(__file__).resolve().parent.parent
BATCHES = (1, 8, 32)


class Worker:
    """Such a process, with the variables that it is started with."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.step_worker"], cwd=ROOT, env={**os.environ, **variables}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def wait(self) -> None:
        """Wait until torch and the network are loaded."""
        self._answer()

    def measure(self, kind: str, batch: int, seconds: float) -> float:
        """Milliseconds a picture of a step, "sampling" or "training", on the mean over some seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {batch} {seconds}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


def steps() -> dict[str, Callable[[int], None]]:
    """An evaluation of the network, and one with its gradients, each for a batch of some size."""
    import torch

    from ddpo.diffusion.catalogue import DEFAULT_PAIR, PAIRS
    from ddpo.diffusion.models import load_model
    from ddpo.diffusion.precision import choose_compute
    from ddpo.diffusion.sampling import evaluate_unet

    compute = choose_compute()
    model = load_model(PAIRS[DEFAULT_PAIR].base, compute)
    pictures = {batch: torch.randn(batch, *model.picture_shape) for batch in BATCHES}

    def sampling(batch: int) -> None:
        model.unet.requires_grad_(False)
        evaluate_unet(model.unet, pictures[batch], torch.tensor(500), compute)

    def training(batch: int) -> None:
        model.unet.requires_grad_(True)
        evaluate_unet(model.unet, pictures[batch], torch.tensor(500), compute).square().mean().backward()
        model.unet.zero_grad()

    return {"sampling": sampling, "training": training}


def main() -> None:
    """Answer lines of "kind batch seconds" with milliseconds a picture."""
    kinds = steps()
    print("ready", flush=True)
    for line in sys.stdin:
        kind, batch, seconds = line.split()
        step, count = kinds[kind], 0
        with company.computing():
            step(int(batch))
            started = time.perf_counter()
            while time.perf_counter() - started < float(seconds):
                step(int(batch))
                count += 1
            print(1000 * (time.perf_counter() - started) / count / int(batch), flush=True)


if __name__ == "__main__":
    main()

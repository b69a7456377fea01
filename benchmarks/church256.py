"""church-256 at full size with random weights, on a CPU: from the Hub's layout to pictures, scores, an epoch of DDPO.

    python -m benchmarks.church256

Two networks of google/ddpm-church-256's architecture are written in the layout of its repository and served by the
tests' stand-in for the Hub. A process of its own, told of the stand-in as a user would (HF_ENDPOINT), then goes the way
of the app: catalogue, download, comparison, training. Writes benchmarks/results/church256.json.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from ddpo.runs.pairs import get_pair

RESULTS = Path(__file__).resolve().parent / "results" / "church256.json"
PAIR = "church-256-aesthetic"
CHANNELS = (128, 128, 256, 256, 512, 512)  # of google/ddpm-church-256, 113.7 million parameters
SAMPLES, STEPS, EPOCH_STEPS = 2, 4, 3


def build_ddpm_256(channels: Sequence[int] = CHANNELS, size: int = 256, groups: int = 32) -> Any:
    """A UNet2DModel of google/ddpm-church-256's architecture with random weights.

    Args:
        channels: of its six levels.
        size: pixels a side.
        groups: of its normalisation layers.
    """
    from diffusers import UNet2DModel

    plain = ["DownBlock2D"] * 4
    return UNet2DModel(
        sample_size=size,
        block_out_channels=tuple(channels),
        layers_per_block=2,
        down_block_types=(*plain, "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
        act_fn="silu",
        attention_head_dim=None,
        norm_num_groups=groups,
        norm_eps=1e-6,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
    )


def write_model(folder: Path, seed: int, channels: Sequence[int] = CHANNELS, size: int = 256, groups: int = 32) -> int:
    """Write a network with random weights as google/ddpm-church-256 lies on the Hub: everything in the root.

    Args:
        folder: new folder.
        seed: of the weights.
        channels: of its six levels.
        size: pixels a side.
        groups: of its normalisation layers.

    Returns:
        Its number of parameters.
    """
    import torch
    from diffusers import DDPMScheduler

    torch.manual_seed(seed)
    unet = build_ddpm_256(channels, size, groups)
    unet.save_pretrained(folder)
    scheduler = DDPMScheduler(
        1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=True, variance_type="fixed_small"
    )
    scheduler.save_pretrained(folder)
    index = {"_class_name": "DDPMPipeline", "scheduler": ["diffusers", "DDPMScheduler"]}
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["diffusers", "UNet2DModel"]}))
    return int(unet.num_parameters())


@contextmanager
def served_pair(folder: Path, **architecture: Any) -> Iterator[tuple[Any, int]]:
    """The stand-in with both models of the pair, and the number of parameters of one, for the time of a with block."""
    from tests.helpers.hub_server import serving

    pair = get_pair(PAIR)
    with serving() as hub:
        for seed, name in enumerate((pair.base, pair.tuned)):
            parameters = write_model(folder / name, seed, **architecture)
            hub.add(name, folder / name)
        yield hub, parameters


def measure() -> dict[str, Any]:
    """Load, compare and train in this process; seconds, and the peak of its memory after each of the three."""
    clock, started = Clock(), time.perf_counter()
    import torch

    from ddpo.diffusion.models import cache
    from ddpo.diffusion.precision import choose_compute

    compute = choose_compute()
    pair = get_pair(PAIR)
    shapes = {cache.get(source, compute).picture_shape for source in (pair.base, pair.tuned)}
    loaded = time.perf_counter() - started
    results: dict[str, Any] = {
        "compute": str(compute), "threads": torch.get_num_threads(), "picture_shape": [*shapes.pop()],
        "load": {"seconds": round(loaded, 1), **clock.lap()},
    }  # fmt: skip
    results["compare"] = {**compare_both(), **clock.lap()}
    results["epoch"] = {**train_epoch(compute), **clock.lap()}
    return results


class Clock:
    """What the process took from one call to the next; on a machine with other work, more telling than the time."""

    def __init__(self) -> None:
        self._last = time.process_time()

    def lap(self) -> dict[str, float]:
        """Seconds of all its cores together since the last call, and the peak of its memory so far."""
        before, self._last = self._last, time.process_time()
        return {"cpu_seconds": round(self._last - before, 1), "peak_memory_mb": peak_memory()}


def compare_both() -> dict[str, Any]:
    """Draw and score SAMPLES pictures with each model through the engine that the app uses."""
    from ddpo.comparison.compare import compare
    from ddpo.comparison.events import ComparisonResult
    from ddpo.comparison.settings import ComparisonSettings

    *_, result = compare(ComparisonSettings(pair=PAIR, scheduler="ddim", steps=STEPS, samples=SAMPLES))
    assert isinstance(result, ComparisonResult)
    evaluations = 2 * SAMPLES * STEPS
    return {
        "samples": SAMPLES, "steps": STEPS, "scheduler": "ddim", "scorer": result.comparison.scorer.name,
        "base_scores": result.base_scores, "tuned_scores": result.tuned_scores,
        "seconds": round(result.seconds, 1), "seconds_per_evaluation": round(result.seconds / evaluations, 3),
    }  # fmt: skip


def train_epoch(compute: Any) -> dict[str, Any]:
    """One epoch of DDPO on the base, one picture in memory at a time."""
    from ddpo import rewards
    from ddpo.diffusion.models import load_model
    from ddpo.training.config import TrainConfig
    from ddpo.training.trainer import Trainer

    config = TrainConfig(
        epochs=1, batches_per_epoch=1, batch_size=SAMPLES, accumulation=SAMPLES, sampling_steps=EPOCH_STEPS,
        trained_steps=EPOCH_STEPS - 1, warmup_epochs=0, learning_rate=1e-5, gradient_checkpointing=True,
    )  # fmt: skip
    model = load_model(get_pair(PAIR).base, compute)
    reward = rewards.load("jpeg-incompressibility", compute)
    trainer = Trainer(model.unet, model.noise_schedule, model.picture_shape, reward, config, compute)
    started = time.perf_counter()
    events = list(trainer.run())
    metrics = events[-1].finished_epoch
    assert metrics is not None and trainer.epoch == 1
    return {
        "samples": SAMPLES, "sampling_steps": EPOCH_STEPS, "trained_steps": config.trained_steps,
        "gradient_checkpointing": True, "accumulation": SAMPLES, "grad_norm": metrics.grad_norm,
        "seconds": round(time.perf_counter() - started, 1),
    }  # fmt: skip


def peak_memory() -> int:
    """Largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    """Measure in a process of its own, print and write."""
    if "--measure" in sys.argv:
        print(json.dumps(measure()))
        return
    with tempfile.TemporaryDirectory() as folder, served_pair(Path(folder) / "served") as (hub, parameters):
        variables = {
            "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": f"{folder}/cache", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
        }  # fmt: skip
        command = [sys.executable, "-m", "benchmarks.church256", "--measure"]
        answer = subprocess.run(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(answer.stdout.splitlines()[-1])
    results = {"machine": describe_machine(), "pair": PAIR, "parameters": parameters, **measured}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

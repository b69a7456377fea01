"""How long a finetuning run will take, and what its machine costs, before it starts. Neither is more than an estimate.

Torch is not imported here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpo import hub
from ddpo.config import TrainConfig
from ddpo.errors import UserError

if TYPE_CHECKING:
    from ddpo.runs import Run

# church-64 with 16 pictures a batch in float32 on two cores with AVX-512: 1600 evaluations in 15.25 s
# (benchmarks/results/app-xeon.json).
MEASURED_SECONDS = 0.0095
MEASURED_CORES = 2
MEASURED_WORK = 4_784_128  # of that network, as `Network.work` counts
FORWARD_AND_BACKWARD = 3.0  # evaluations that one pass of training takes: 62 ms against 20 to 25 ms
START_SECONDS = 10.0  # Python, torch, the model and the reward
GRID_EVALUATIONS = 8 * 20  # of the pictures of the fixed seeds after every epoch

# The GPU that ZeroGPU lends, half an H200, in bfloat16. Not measured but kept on the safe side: what is asked for must
# be enough, as a call that runs over is cut off.
GPU_SECONDS = 0.02  # for launching one evaluation, however small its batch
GPU_WORK = 3.5e11  # a second, as `Network.work` counts: 10 ms a picture and evaluation for DDPM_256

# Dollars an hour as https://huggingface.co/docs/hub/spaces-gpus lists them; other hardware has no known price.
HOURLY_PRICES = {
    "cpu-basic": 0.0, "cpu-upgrade": 0.03, "t4-small": 0.40, "t4-medium": 0.60, "l4x1": 0.80, "l4x4": 3.80,
    "a10g-small": 1.00, "a10g-large": 1.50, "a10g-largex2": 3.00, "a10g-largex4": 5.00, "a100-large": 2.50,
    "l40sx1": 1.80, "l40sx4": 8.30, "l40sx8": 23.50,
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """What the cost of a UNet2DModel depends on."""

    sample_size: int  # pixels a side
    channels: tuple[int, ...]  # of the levels, from the finest
    layers: int  # per level

    @property
    def work(self) -> int:
        """Proportional to the multiplications of its convolutions: pixels times channels squared, over all levels."""
        return self.layers * sum((self.sample_size >> level) ** 2 * c * c for level, c in enumerate(self.channels))


# google/ddpm-church-256 and its sisters; stands for models that are still to be downloaded
DDPM_256 = Network(256, (128, 128, 256, 256, 512, 512), 2)


@dataclass(frozen=True)
class Estimate:
    """What a run will take."""

    seconds: float | None  # None: nothing is known about this hardware
    pictures: int  # drawn and scored over all epochs
    from_run: bool  # measured by an earlier run of this model on this machine; else scaled from a figure of ours


def estimate(config: TrainConfig, network: Network, base: str, runs: Iterable[Run] = ()) -> Estimate:
    """How long a run of this config takes on this machine.

    Args:
        config: of the run.
        network: of the model.
        base: source of the model, by which earlier runs of it are found.
        runs: earlier runs, newest first.
    """
    evaluations = config.epochs * _evaluations_per_epoch(config)
    pictures = config.epochs * config.samples_per_epoch()
    measured = _measured_by(runs, base)
    if measured is not None:
        return Estimate(START_SECONDS + evaluations * measured, pictures, True)
    if has_gpu():
        return Estimate(None, pictures, False)
    cores = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    each = MEASURED_SECONDS * network.work / MEASURED_WORK * MEASURED_CORES / min(cores, 16)
    return Estimate(START_SECONDS + evaluations * each, pictures, False)


def gpu_seconds(network: Network, evaluations: int, batch: int) -> float:
    """Seconds that so many evaluations, one after another, each of a batch of pictures, take on a lent GPU."""
    return evaluations * max(GPU_SECONDS, batch * network.work / GPU_WORK)


def read_network(source: str) -> Network:
    """The network of a local folder, from its configuration alone.

    Args:
        source: a folder, with the network in `unet/` or in the root. An id on the Hub counts as DDPM_256.

    Raises:
        UserError: it is neither a folder with a UNet2DModel nor an id.
    """
    folder = hub.as_path(source)
    if not folder.is_dir():
        hub.need(source)
        return DDPM_256
    path = next((p for p in (folder / "unet" / "config.json", folder / "config.json") if p.is_file()), None)
    if path is None:
        raise UserError(f"The folder {source!r} holds no diffusion model: unet/config.json is missing.")
    try:
        return _network(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{str(path)!r} does not describe a UNet2DModel; the model folder is damaged.") from error


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that may be used, found out without torch."""
    return Path("/proc/driver/nvidia/version").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") != ""


def on_zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, which borrows a GPU for one call at a time."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def hourly_price() -> float | None:
    """Dollars an hour of the Space's hardware; None where this is no Space or the price is not known."""
    return HOURLY_PRICES.get(os.environ.get("SPACE_HARDWARE", "")) if os.environ.get("SPACE_ID") else None


def _evaluations_per_epoch(config: TrainConfig) -> float:
    """Evaluations of the network, each pass of training counted as several."""
    reference = 1.0 if config.kl_weight > 0 else 0.0  # of the base, for the KL divergence
    training = config.inner_epochs * config.trained_steps * (FORWARD_AND_BACKWARD + reference)
    return config.samples_per_epoch() * (config.sampling_steps + training) + GRID_EVALUATIONS


def _measured_by(runs: Iterable[Run], base: str) -> float | None:
    """Seconds an evaluation in the newest run of the model that finished an epoch here."""
    import platform

    for run in runs:
        if run.spec.base != base or run.status().host not in (None, platform.node()):
            continue
        if epochs := run.epochs():
            last = epochs[-1]
            return float(last["seconds"]) / (int(last["epoch"]) * _evaluations_per_epoch(run.spec.config))
    return None


def _network(config: dict[str, Any]) -> Network:
    size = config["sample_size"]
    return Network(
        int(size if isinstance(size, int) else max(size)),
        tuple(int(channels) for channels in config["block_out_channels"]),
        int(config.get("layers_per_block", 2)),
    )

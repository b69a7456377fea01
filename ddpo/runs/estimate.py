"""How long a finetuning run will take, and what its machine costs, before it starts. Neither is more than an estimate.

Torch is not imported here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddpo.common.machine import cores, has_fast_bfloat16, has_gpu
from ddpo.diffusion.network import CHURCH_64, DDPM_256, Network
from ddpo.training.config import TrainConfig

if TYPE_CHECKING:
    from ddpo.runs.store import Run

# Seconds a picture of an evaluation, and of one with its gradients, on MEASURED_CORES cores of an AMD EPYC with
# AVX512_BF16 (benchmarks/results/precision.json, channels_last): of CHURCH_64, then of DDPM_256.
MEASURED_SECONDS = {
    "float32": ((0.00403, 0.01244), (1.42552, 6.05617)),
    "bfloat16": ((0.00274, 0.01177), (0.55869, 2.64083)),
}
MEASURED_CORES = 2
MOST_CORES = 16  # that are sure to make it quicker
START_SECONDS = 10.0  # Python, torch, the model and the reward
GRID_EVALUATIONS = 8 * 20  # of the pictures of the fixed seeds after every epoch

# The GPU that ZeroGPU lends, half an RTX Pro 6000 Blackwell with 48 GB, in bfloat16. An assumption, not measured, and
# meant to be on the safe side: what is asked for must be enough, as a call that runs over is cut off.
GPU_SECONDS = 0.02  # for launching one evaluation, however small its batch
GPU_WORK = 3.5e11  # a second, as `Network.work` counts: 10 ms a picture and evaluation for DDPM_256

CPU_HARDWARE = {"2": "cpu-basic", "8": "cpu-upgrade"}  # by their cores; both are told as the accelerator "none"


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
    pictures = config.epochs * config.samples_per_epoch()
    measured = _measured_by(runs, base, network)
    if measured is not None:
        return Estimate(START_SECONDS + config.epochs * _epoch_seconds(config, network) * measured, pictures, True)
    if has_gpu():
        return Estimate(None, pictures, False)
    return Estimate(START_SECONDS + config.epochs * _epoch_seconds(config, network), pictures, False)


def gpu_seconds(network: Network, evaluations: int, batch: int) -> float:
    """Seconds that so many evaluations, one after another, each of a batch of pictures, take on a lent GPU."""
    return evaluations * max(GPU_SECONDS, batch * network.work / GPU_WORK)


def _space_hardware() -> str:
    """Name of the Space's hardware, from the variables in https://huggingface.co/docs/hub/spaces-overview."""
    accelerator = os.environ.get("ACCELERATOR", "")
    return CPU_HARDWARE.get(os.environ.get("CPU_CORES", ""), "") if accelerator == "none" else accelerator


def _epoch_seconds(config: TrainConfig, network: Network) -> float:
    """Seconds of an epoch on this machine's CPU."""
    evaluation, training_pass = _seconds_each(network)
    pictures, inner = config.samples_per_epoch(), config.inner_epochs
    sampled, referred = float(config.sampling_steps), 0.0
    if config.window != "random":  # what a group shares is evaluated once
        shared = sum(config.window_starts) / len(config.window_starts)
        sampled -= shared * (1 - 1 / config.group_size)
    if config.algorithm != "rwr":  # the base's evaluations for the KL divergence are kept over the inner epochs
        referred = float(config.trained_steps if config.kl_weight > 0 else 1)
    if config.gradient_checkpointing:
        training_pass += evaluation
    each = (sampled + referred) * evaluation + inner * config.trained_steps * training_pass
    if config.part_size == 1:
        each *= 2  # `sampling.evaluate_unet` takes two
    return pictures * each + GRID_EVALUATIONS * evaluation


def _seconds_each(network: Network) -> tuple[float, float]:
    """Seconds a picture of an evaluation, and of one with its gradients, on this machine's CPU.

    Those of two networks were measured; a power of the work goes through both, as the larger one keeps the processor
    better occupied.
    """
    precision = os.environ.get("DDPO_PRECISION", "auto")
    if precision not in MEASURED_SECONDS:
        precision = "bfloat16" if has_fast_bfloat16() else "float32"
    small, large = MEASURED_SECONDS[precision]
    place = math.log(network.work / CHURCH_64.work) / math.log(DDPM_256.work / CHURCH_64.work)
    share = MEASURED_CORES / min(cores(), MOST_CORES)
    evaluation, training_pass = (share * a * (b / a) ** place for a, b in zip(small, large, strict=True))
    return evaluation, training_pass


def _measured_by(runs: Iterable[Run], base: str, network: Network) -> float | None:
    """How many times the estimate the newest run of the model that finished an epoch here has taken."""
    import platform

    for run in runs:
        if run.spec.base != base or run.status().host not in (None, platform.node()):
            continue
        if epochs := run.epochs():
            last = epochs[-1]
            return float(last["seconds"]) / (int(last["epoch"]) * _epoch_seconds(run.spec.config, network))
    return None

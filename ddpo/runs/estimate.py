"""How long a finetuning run will take, and what its machine costs, before it starts. Neither is more than an estimate.

Torch is not imported here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddpo.common import lent_gpu
from ddpo.common.machine import cores, has_fast_bfloat16, has_gpu
from ddpo.diffusion.network import CHURCH_64, DDPM_256, Network
from ddpo.hub import ids
from ddpo.training.config import TrainConfig
from ddpo.training.work import evaluated_epochs, evaluations_of_the_eye, passes_of_a_picture

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
        return Estimate(START_SECONDS + _run_seconds(config, network) * measured, pictures, True)
    if has_gpu():
        return Estimate(None, pictures, False)
    return Estimate(START_SECONDS + _run_seconds(config, network), pictures, False)


def gpu_seconds(network: Network, evaluations: int, batch: int) -> float:
    """Seconds that so many evaluations, one after another, each of a batch of pictures, take on a lent GPU.

    Not measured, but kept on the safe side (see `lent_gpu`): a call that runs over what it asked for is cut off.
    """
    flop = lent_gpu.FLOP_OF_DDPM_256 * network.work / DDPM_256.work
    return evaluations * max(lent_gpu.LAUNCH_SECONDS, batch * flop / lent_gpu.FLOPS)


def drawing_seconds(network: Network, evaluations: int) -> float | None:
    """Seconds that so many evaluations, of a picture each, take on this machine; None where it has a GPU of its own.

    Args:
        network: of the model.
        evaluations: of the network, times pictures.
    """
    return None if has_gpu() else evaluations * _seconds_each(network)[0]


def weights_megabytes(source: str) -> float:
    """How large the weights of a folder are; those of an id on the Hub count as DDPM_256's."""
    if not ids.is_folder(source):
        return lent_gpu.MEGABYTES_OF_DDPM_256
    folder = ids.as_path(source)
    files = (path for part in (folder, folder / "unet") for path in part.glob("diffusion_pytorch_model*"))
    return sum(path.stat().st_size for path in files) / 1e6


def _run_seconds(config: TrainConfig, network: Network) -> float:
    """Seconds of all epochs on this machine's CPU, and of the looks at the held-out seeds."""
    looks = len(evaluated_epochs(config)) * config.eval_seeds * evaluations_of_the_eye(config)
    return config.epochs * _epoch_seconds(config, network) + looks * _seconds_each(network)[0]


def _epoch_seconds(config: TrainConfig, network: Network) -> float:
    """Seconds of an epoch on this machine's CPU."""
    evaluation, training_pass = _seconds_each(network)
    evaluations, passes = passes_of_a_picture(config)
    each = evaluations * evaluation + passes * training_pass
    if config.part_size == 1:
        each *= 2  # `sampling.evaluate_unet` takes two
    return config.samples_per_epoch() * each + GRID_EVALUATIONS * evaluation


def _seconds_each(network: Network) -> tuple[float, float]:
    """Seconds a picture of an evaluation, and of one with its gradients, on this machine's CPU.

    Those of two networks were measured; a power of the work goes through both, as the larger one keeps the processor
    better occupied.
    """
    small, large = MEASURED_SECONDS[cpu_precision()]
    place = math.log(network.work / CHURCH_64.work) / math.log(DDPM_256.work / CHURCH_64.work)
    share = MEASURED_CORES / min(cores(), MOST_CORES)
    evaluation, training_pass = (share * a * (b / a) ** place for a, b in zip(small, large, strict=True))
    return evaluation, training_pass


def cpu_precision() -> str:
    """What a CPU computes in here, "float32" or "bfloat16"; as `choose_compute`, but without torch."""
    precision = os.environ.get("DDPO_PRECISION", "auto")
    if precision in MEASURED_SECONDS:
        return precision
    return "bfloat16" if has_fast_bfloat16() else "float32"


def _measured_by(runs: Iterable[Run], base: str, network: Network) -> float | None:
    """How many times the estimate the newest run of the model that finished an epoch here has taken."""
    import platform

    for run in runs:
        if run.spec.base != base or run.status().host not in (None, platform.node()):
            continue
        if epochs := run.epochs():
            last = epochs[-1]
            share = last.epoch / run.spec.config.epochs
            return last.seconds / (share * _run_seconds(run.spec.config, network))
    return None

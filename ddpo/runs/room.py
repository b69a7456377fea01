"""Whether a run fits the memory of this machine, told before it starts. Torch is not imported here."""

from __future__ import annotations

from ddpo.common import memory
from ddpo.common.machine import has_gpu, on_zero_gpu
from ddpo.diffusion.network import read_network
from ddpo.runs.estimate import cpu_precision, weights_megabytes
from ddpo.runs.folder import RunSpec
from ddpo.training.config import TrainConfig

REMEDY = "raise accumulation, turn gradient_checkpointing on, or lower batch_size"
CHECKPOINTED = 0.3  # assumed, of the activations that gradient checkpointing leaves
STATE_OF_ADAM = 3  # times the trained weights: their gradients, and two averages


def bytes_needed(config: TrainConfig, weights: float, picture: float, numbers: int) -> float:
    """About how much memory a run takes.

    Args:
        config: of the run.
        weights: bytes of the network's weights.
        picture: bytes that a picture keeps for the gradients.
        numbers: of a picture, C * H * W.
    """
    copies = 2 + (STATE_OF_ADAM if config.weights == "all" else 0) + (config.ema_decay > 0) + (config.eval_seeds > 0)
    kept = picture * (CHECKPOINTED if config.gradient_checkpointing else 1.0)
    # Of a picture, for the whole epoch: finished, around each trained step, and the mean of the base there.
    trained = config.trained_steps
    around = min(2 * trained, config.sampling_steps) if config.window == "random" else trained + 1
    if config.algorithm == "rwr":
        around = 0
    if config.algorithm == "draft":
        around = 1
        # The base's activations count where its output has a gradient, which is behind the first of several steps.
        kept *= 1 if config.gradient_checkpointing else trained + (trained - 1) * (config.output_penalty > 0)
    states = 1 + around + (trained if config.kl_weight > 0 and config.inner_epochs > 1 else 0)
    return weights * copies + config.part_size * kept + config.samples_per_epoch() * states * numbers * 4


def check_room(spec: RunSpec) -> None:
    """Refuse a run that would not fit, by estimates of its network. Where there is a GPU, it is left to that.

    Raises:
        UserError: it would not; the sentence says how much is needed. Or the base cannot be read.
    """
    network = read_network(spec.base)
    if has_gpu() or on_zero_gpu():
        return
    picture = network.training_bytes * (0.5 if cpu_precision() == "bfloat16" else 1.0)
    needed = bytes_needed(spec.config, weights_megabytes(spec.base) * 1e6, picture, 3 * network.sample_size**2)
    memory.check_room(needed, "This run", REMEDY)

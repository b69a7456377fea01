"""Pretrains the base model of church-64 on the drawn scenes.

Every random number is a function of the step, so that a training goes on after a kill as if nothing had happened. The
learning rate stays where it is after a warm-up, so the training has no end that must be known beforehand. When a
release is wanted, a **branch** starts from the newest checkpoint, and its learning rate falls to zero (warm-up, stable,
decay: Hu et al. 2024, arXiv 2404.06395; Haegele et al. 2024, arXiv 2405.18392). The training itself goes on.

Time is spent where it was measured to be well spent, on one core with AMX, in milliseconds of processor time a picture:
64 with channels last (whose normalisation has a slow backward pass), 47 without, 42 with attention as plain products.
Compiling the network changed nothing beyond that (37 to 47).

On a GPU the network is compiled and has its channels last, noise is drawn there, and nothing waits for a loss but the
report. A step there takes many more pictures, see `ON_GPU`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor, nn

from ddpo.church64.noise_levels import floored_weights, timestep_density
from ddpo.church64.power_ema import PowerEma
from ddpo.church64.scene_pool import ScenePool
from ddpo.church64.scenes import SIZE
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.runs.checkpoints import load_checkpoint, save_checkpoint

FORMAT = 2  # of the checkpoint; 1 had one average with a fixed decay
REPORT_EVERY = 50  # steps
RANDOM = "random weights"  # what a training began with that was given none


@dataclass(frozen=True)
class PretrainConfig:
    """How the base model is trained."""

    steps: int = 60_000  # optimizer steps at the full learning rate
    decay_steps: int = 1_500  # steps of a branch, over which the learning rate falls to 0
    batch_size: int = 16  # pictures a step
    first_scenes: int = 8_000  # distinct drawings that the first step chooses from, each also mirrored
    new_scenes: int = 4  # drawings added to them a step
    learning_rate: float = 5e-4  # AdamW's
    warmup_steps: int = 200  # linear
    noise_mean: float = -0.8  # of ln sigma, see `timestep_density`
    noise_spread: float = 1.6  # standard deviation of ln sigma
    noise_uniform: float = 0.3  # share of timesteps drawn uniformly
    weight_floor: float = 1.0  # least loss weight of a timestep, see `floored_weights`
    average_lengths: tuple[float, ...] = (0.05, 0.1)  # of the moving averages, as a share of the training
    max_grad_norm: float = 1.0
    time_conditioning: str = "default"  # how a block takes the timestep in: added, or "scale_shift"
    seed: int = 0
    checkpoint_every: int = 100  # steps


# For an hour or less of a GPU that takes 10,000 pictures a second or more.
ON_GPU = replace(
    PretrainConfig(), steps=40_000, decay_steps=3_500, batch_size=512, first_scenes=300_000, new_scenes=0,
    learning_rate=2e-3, warmup_steps=500, checkpoint_every=250,
)  # fmt: skip


def config_for(compute: Compute) -> PretrainConfig:
    """How the base is trained on a device."""
    return ON_GPU if compute.device.type == "cuda" else PretrainConfig()


def build_unet(time_conditioning: str = "default") -> UNet2DModel:
    """The architecture of church-64: 3.9 M parameters, 16 channels at full resolution to be quick on a CPU.

    Other splits of the channels were measured on one core, milliseconds a picture and step in bfloat16 and float32:

        (16, 32, 64, 160)   8.5   18     this one
        (16, 48, 96, 128)   9.3   25
        (16, 64, 96, 96)    9.9   27
        (24, 48, 64, 128)  12.8   24
        (16, 64, 128)      12.7   35     attention at 16 x 16
    """
    return UNet2DModel(
        sample_size=SIZE,
        block_out_channels=(16, 32, 64, 160),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=32,
        resnet_time_scale_shift=time_conditioning,
    )


def build_noise_schedule() -> DDPMScheduler:
    """Linear betas over 1000 steps, v-prediction (Salimans and Ho 2022).

    Predicting v rather than epsilon fixes the mean colour where the noise is highest; epsilon says nothing about it,
    and deterministic samplers then come out grey (DDIM) or burnt (PNDM).
    """
    return DDPMScheduler(num_train_timesteps=1000, prediction_type="v_prediction")


def learning_rate_factor(step: int, config: PretrainConfig, branched_at: int | None = None) -> float:
    """Linear warm-up, then 1; in a branch a line to zero from where it began. In [0, 1]."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    if branched_at is None:
        return warm
    return warm * max(0.0, 1 - (step - branched_at) / config.decay_steps)


@dataclass(frozen=True)
class PretrainProgress:
    """Where the training stands after a step; `loss` is the mean since the last report."""

    step: int
    steps: int
    loss: float


class Pretraining:
    """The state of a pretraining and the loop over it.

    Args:
        config: how to train. Where a checkpoint was made with another one, the change is kept in `history`.
        compute: device and dtype of the network.
        folder: of the checkpoint and the drawings; made where it is missing.
        warm_start: weights to begin with where there is no checkpoint.
        pool: drawings, where another training has them already.

    Raises:
        UserError: the checkpoint belongs to another architecture or to an older version of this training.
    """

    def __init__(
        self,
        config: PretrainConfig,
        compute: Compute,
        folder: Path,
        warm_start: UNet2DModel | None = None,
        pool: ScenePool | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.compute, self.folder = config, compute, folder
        self.checkpoint = folder / "pretrain.pt"
        self.unet = build_unet(config.time_conditioning).to(compute.device)
        if warm_start is not None:
            self.unet.load_state_dict(warm_start.state_dict())
        on_gpu = compute.device.type == "cuda"
        if on_gpu:
            torch.backends.cudnn.benchmark = True
            self.unet.to(memory_format=torch.channels_last)
        self.averages = PowerEma(self.unet, config.average_lengths)
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), lr=config.learning_rate, weight_decay=0.0)
        self.schedule = build_noise_schedule()
        self.step = 0
        self.branched_at: int | None = None
        self.history: list[dict[str, Any]] = []
        self.began_with = fingerprint(warm_start) if warm_start is not None else RANDOM
        state = load_checkpoint(self.checkpoint, compute.device)
        if state is not None:
            self._load(state)
        if not self.history or self.history[-1]["config"] != _plain(config):
            self.history.append({"step": self.step, "config": _plain(config)})
        self.pool = pool or ScenePool(folder)
        alphas = self.schedule.alphas_cumprod
        self.density = timestep_density(alphas, config.noise_mean, config.noise_spread, config.noise_uniform)
        self.weights = floored_weights(alphas, config.weight_floor).to(compute.device)
        self._denoise: Any = torch.compile(self.unet) if on_gpu else self.unet
        if not on_gpu:
            _use_plain_attention(self.unet)

    @property
    def last_step(self) -> int:
        """Where `run` ends: at the configured step, and in a branch once the learning rate is zero."""
        return self.config.steps if self.branched_at is None else self.branched_at + self.config.decay_steps

    @property
    def _own_seed(self) -> int:
        """That of this training: one that begins with the weights of another must not draw its batches again."""
        return 0 if self.began_with == RANDOM else int(self.began_with, 16)

    def candidates(self) -> dict[str, UNet2DModel]:
        """The networks that may be released: the weights themselves and each average, by the average's length."""
        averages = zip(self.averages.lengths, self.averages.networks, strict=True)
        return {"weights": self.unet, **{f"average {length}": network for length, network in averages}}

    def branch(self) -> Pretraining:
        """A copy of this training, in a folder of its own, in which the learning rate falls to zero from here on."""
        folder = self.folder / f"branch-{self.step}"
        if not (folder / "pretrain.pt").exists():
            save_checkpoint({**self._state(), "branched_at": self.step}, folder / "pretrain.pt")
        return Pretraining(self.config, self.compute, folder, pool=self.pool)

    def save(self) -> None:
        """Write the checkpoint from which another `Pretraining` goes on."""
        save_checkpoint(self._state(), self.checkpoint)

    def _state(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "unet": self.unet.state_dict(),
            "averages": self.averages.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "branched_at": self.branched_at,
            "history": self.history,
            "began_with": self.began_with,
        }

    def _load(self, state: dict[str, Any]) -> None:
        if state.get("format") != FORMAT:
            raise UserError(
                f"{self.checkpoint} is a checkpoint of another training (format {state.get('format', 1)}); "
                "choose another folder with --work, or move it away."
            )
        try:
            self.unet.load_state_dict(state["unet"])
            self.averages.load_state_dict(state["averages"])
        except (RuntimeError, KeyError) as error:
            raise UserError(
                f"{self.checkpoint} belongs to another architecture or other averages; choose another --work."
            ) from error
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.branched_at, self.history = state["step"], state["branched_at"], state["history"]
        self.began_with = state.get("began_with", self.began_with)

    def run(self) -> Iterator[PretrainProgress]:
        """Train to the end, yielding every 50 steps."""
        config, running = self.config, torch.zeros((), device=self.compute.device)
        while self.step < self.last_step:
            running += self.train_step()
            self.step += 1
            last = self.step == self.last_step
            if self.step % config.checkpoint_every == 0 or last:
                self.save()
            if self.step % REPORT_EVERY == 0 or last:
                done = (self.step - 1) % REPORT_EVERY + 1
                yield PretrainProgress(self.step, self.last_step, float(running) / done)
                running.zero_()

    def train_step(self) -> Tensor:
        """Take one step, and return its loss: (), on the device, so that nothing need wait for it."""
        config, device = self.config, self.compute.device
        seed = (config.seed * 10_000_019 + self.step + self._own_seed) % (1 << 32)
        rng = torch.Generator().manual_seed(seed)
        x_0 = self._pictures(rng)  # (B, 3, 64, 64) in [-1, 1]
        t = torch.multinomial(self.density, config.batch_size, replacement=True, generator=rng).to(device)
        noises = rng if device.type == "cpu" else torch.Generator(device).manual_seed(seed)
        noise = torch.randn(x_0.shape, generator=noises, device=device)
        x_t = self.schedule.add_noise(x_0, noise, t)
        v = self.schedule.get_velocity(x_0, noise, t)

        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(self.step, config, self.branched_at)
        with self.compute.autocast():
            predicted = self._denoise(x_t, t).sample
        error = (predicted.float() - v).square().mean(dim=(1, 2, 3))  # (B,)
        loss = (self.weights[t] * error).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.unet.parameters(), config.max_grad_norm)
        self.optimizer.step()
        self.averages.update(self.unet, self.step + 1)
        return loss.detach()

    def _pictures(self, rng: torch.Generator) -> Tensor:
        """The drawings of a step, half of them mirrored. How many there are to choose from grows with the steps.

        In a branch it stays, so that the training itself may go on and draw in another process.
        """
        config = self.config
        grown = self.step if self.branched_at is None else self.branched_at
        count = config.first_scenes + config.new_scenes * grown
        self.pool.grow(count)
        x_0 = self.pool.take(torch.randint(count, (config.batch_size,), generator=rng), self.compute.device)
        mirrored = torch.rand(config.batch_size, generator=rng) < 0.5
        return torch.where(mirrored.to(x_0.device)[:, None, None, None], x_0.flip(-1), x_0)


def _use_plain_attention(unet: UNet2DModel) -> None:
    """Products instead of the fused kernel, whose backward pass takes an eighth of a step on a CPU at 8 x 8 pixels."""
    for module in unet.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())


def fingerprint(unet: UNet2DModel) -> str:
    """Eight hexadecimal digits that tell one set of weights from another."""
    digest = hashlib.sha256()
    for _, weight in sorted(unet.state_dict().items()):
        digest.update(weight.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


def _plain(config: PretrainConfig) -> dict[str, Any]:
    """The configuration as a checkpoint holds it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}

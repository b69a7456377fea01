"""The algorithm in one file: it runs, and its first update is the trainer's."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import torch
from diffusers import DDPMPipeline
from torch import Tensor

from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import choose_compute
from ddpo.diffusion.sampling import generators
from ddpo.training.config import TrainConfig
from ddpo.training.epoch_plan import plan_epoch
from ddpo.training.objective import advantages
from ddpo.training.random_streams import mix_seed
from ddpo.training.trainer import Trainer
from examples import ddpo_minimal as minimal
from tests.helpers.here import ROOT

BASE = ROOT / "assets" / "church-64" / "base"


def test_it_fits_a_page_and_knows_nothing_of_ours() -> None:
    text = (ROOT / "examples" / "ddpo_minimal.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150 and "from ddpo" not in text and "import ddpo" not in text


def test_it_runs_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "examples/ddpo_minimal.py", str(BASE), "--out", str(tmp_path / "out")]
    small = ["--epochs", "2", "--batches", "1", "--batch-size", "4", "--steps", "3"]
    answer = subprocess.run([*command, *small], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.count("reward") == 2
    assert DDPMPipeline.from_pretrained(tmp_path / "out").unet.config.sample_size == 64


def test_its_first_update_is_that_of_the_trainer() -> None:
    compute = choose_compute("float32", "cpu")
    model = load_model(str(BASE), compute)
    config = TrainConfig(
        epochs=1, batches_per_epoch=1, batch_size=6, sampling_steps=4, trained_steps=3, learning_rate=1e-4,
        warmup_epochs=0, weight_decay=0.0,
    )  # fmt: skip
    theirs = copy.deepcopy(model.unet)
    scores: list[Tensor] = []

    def reward(pictures: Tensor) -> Tensor:
        scores.append(minimal.colourfulness(pictures))
        return scores[-1]

    trainer = Trainer(theirs, model.noise_schedule, model.picture_shape, reward, config, compute)
    list(trainer.run())

    pipe = DDPMPipeline.from_pretrained(BASE)
    pipe.unet.eval().to(memory_format=torch.channels_last)  # the kernels that `load_model` chooses
    args = minimal.Args(steps=4, learning_rate=config.learning_rate)
    optimizer = torch.optim.AdamW(pipe.unet.parameters(), lr=args.learning_rate, weight_decay=0.0)
    pictures, recorded = minimal.sample(pipe, args, generators([mix_seed(config.seed, i) for i in range(6)]))
    torch.testing.assert_close(minimal.colourfulness(pictures), scores[0], atol=1e-2, rtol=1e-4)
    recorded = [recorded[index] for index in plan_epoch(0, config).steps[0]]  # summed in the same order
    minimal.update(pipe, optimizer, args, recorded, advantages(scores[0], config.advantage_clip))
    before = dict(model.unet.named_parameters())
    for (name, ours), example in zip(theirs.named_parameters(), pipe.unet.parameters(), strict=True):
        assert not torch.equal(ours, before[name]), name
        torch.testing.assert_close(example, ours, atol=1e-6, rtol=0, msg=name)

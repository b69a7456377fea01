"""Builds church-64: pretrains the base, finetunes it with DDPO, measures both and writes the card.

    python -m ddpo.church64 all

Every stage is resumable after a kill and draws all its random numbers from fixed seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from ddpo import rewards
from ddpo.church64 import card, measure
from ddpo.church64.pretrain import PretrainConfig, Pretraining
from ddpo.diffusion.catalogue import ASSETS
from ddpo.diffusion.models import load_model, save_model
from ddpo.diffusion.pictures import tile
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.runs.checkpoints import load_checkpoint, save_checkpoint
from ddpo.training.config import TrainConfig
from ddpo.training.recipes import get_recipe
from ddpo.training.trainer import Trainer

BUNDLE = ASSETS / "church-64"
REWARD = "photographic"
GRID = 32  # pictures in the grids of the card
# What the recipe `quick` was when the pair was made.
FINETUNE = replace(
    get_recipe("quick").config, sampling_steps=20, window_first=7, window_last=16, inner_epochs=1, diversity_floor=0.0,
    learning_rate=1.2e-4,
)  # fmt: skip
# A copy that is pushed until all its pictures look alike, by a reward without a limit and with nothing to hold it.
COLLAPSE_REWARD = "colourfulness"
COLLAPSE = TrainConfig(
    epochs=30, batches_per_epoch=2, batch_size=16, sampling_steps=10, trained_steps=4, learning_rate=3e-4, seed=2,
)  # fmt: skip


def pretrain(work: Path, compute: Compute) -> None:
    """Train the base model and save it to assets."""
    training = Pretraining(PretrainConfig(), compute, work)
    with tqdm(total=training.config.steps, initial=training.step, desc="pretrain", unit="step") as bar:
        for progress in training.run():
            bar.set_postfix(loss=f"{progress.loss:.4f}")
            bar.update(progress.step - bar.n)
    save_model(training.ema, dict(training.schedule.config), BUNDLE / "base", torch.float16)


def finetune(work: Path, compute: Compute) -> None:
    """Finetune the base on the reward and save the result to assets."""
    _finetune(FINETUNE, REWARD, work / "finetune.pt", BUNDLE / "tuned", compute)


def collapse(work: Path, compute: Compute) -> None:
    """Make the collapsed copy that the measure of diversity is checked on; it stays in the work folder."""
    _finetune(COLLAPSE, COLLAPSE_REWARD, work / "collapse.pt", work / "collapsed", compute)


def _finetune(config: TrainConfig, reward_name: str, checkpoint: Path, result: Path, compute: Compute) -> None:
    base = load_model(str(BUNDLE / "base"), compute)
    reward = rewards.load(reward_name, compute)
    trainer = Trainer(base.unet, base.noise_schedule, base.picture_shape, reward, config, compute)
    state = load_checkpoint(checkpoint, compute.device)
    if state is not None:
        trainer.load_state_dict(state)
    with tqdm(total=config.epochs, initial=trainer.epoch, desc=checkpoint.stem, unit="epoch") as bar:
        for event in trainer.run():
            if metrics := event.finished_epoch:
                save_checkpoint(trainer.state_dict(), checkpoint)
                bar.set_postfix(reward=f"{metrics.reward_mean:.2f}", diversity=f"{metrics.diversity:.2f}")
                bar.update()
    save_model(trainer.result(), base.scheduler_config, result, torch.float16)


def measure_pair(work: Path, compute: Compute) -> None:
    """Measure both models and write the figures and the two grids."""
    for model in ("base", "tuned"):
        pictures = measure.draw_pictures(BUNDLE / model, "ddim", work, compute)[:GRID]
        sheet = Image.fromarray(tile(pictures))
        sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.LANCZOS).save(BUNDLE / f"{model}.png")
    for results in measure.measure(BUNDLE, work / "collapsed", work, REWARD, compute):
        (BUNDLE / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def write_card(work: Path, compute: Compute) -> None:
    """Write the card from the measured figures."""
    results = json.loads((BUNDLE / "results.json").read_text(encoding="utf-8"))
    text = card.render(results, PretrainConfig(), FINETUNE, COLLAPSE, COLLAPSE_REWARD)
    (BUNDLE / "README.md").write_text(text, encoding="utf-8")


STAGES: dict[str, Callable[[Path, Compute], None]] = {
    "pretrain": pretrain,
    "finetune": finetune,
    "collapse": collapse,
    "measure": measure_pair,
    "card": write_card,
}


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ddpo.church64", description="Rebuild the bundled pair, church-64.")
    parser.add_argument("stage", choices=["all", *STAGES], help="one stage, or all of them in this order")
    parser.add_argument("--work", type=Path, default=Path("build/church-64"), help="checkpoints and pictures")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 is torch's choice")
    options = parser.parse_args(arguments)
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    compute = choose_compute(options.precision)
    for stage in STAGES if options.stage == "all" else [options.stage]:
        STAGES[stage](options.work, compute)
    return 0


if __name__ == "__main__":
    sys.exit(main())

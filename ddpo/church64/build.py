"""Builds church-64: pretrains the base, finetunes it with DDPO, measures both and writes the card.

    python -m ddpo.church64 all
    python -m ddpo.church64 fidelity assets/church-64/base --scheduler ddim pndm
    python -m ddpo.church64 judge assets/church-64/base assets/church-64/tuned
    python -m ddpo.church64 comparison
    python -m ddpo.church64 tour

Every stage is resumable after a kill and draws all its random numbers from fixed seeds. The long one, `pretrain`, may
go on while `release` makes a base from where it stands:

    python -m ddpo.church64 pretrain --work build/church-64
    python -m ddpo.church64 release --work build/church-64

Where there is no checkpoint, the training begins with random weights, or with the model that `--warm-start` names. On a
GPU it takes larger steps, see `pretrain.ON_GPU`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from ddpo import rewards
from ddpo.church64 import card, fidelity_command, judge, measure, tour
from ddpo.church64.fidelity import FIRST_SCENE, FidelityMeter
from ddpo.church64.figures import read_figures, write_figures
from ddpo.church64.parts import load_parts_classifier
from ddpo.church64.pretrain import Pretraining, config_for
from ddpo.church64.release import choose, newest_release, open_branch
from ddpo.church64.scenes import draw_scenes
from ddpo.church64.trials import run_trials
from ddpo.church64.watch import Watch
from ddpo.comparison import saved
from ddpo.comparison.compare import compare
from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.settings import ComparisonSettings
from ddpo.diffusion.catalogue import ASSETS
from ddpo.diffusion.models import load_model, save_model
from ddpo.diffusion.pictures import tile
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.errors import UserError
from ddpo.runs.checkpoints import load_checkpoint, save_checkpoint
from ddpo.training.config import TrainConfig
from ddpo.training.recipes import get_recipe
from ddpo.training.trainer import Trainer

BUNDLE = ASSETS / "church-64"
REWARD = "photographic"
PRETRAINING = BUNDLE / "pretraining.json"  # how the base there was trained
GRID = 32  # pictures in the grids of the card
# The recipe `quick` over more of the steps, and longer. The mood of a scene is settled at the first steps: windows that
# begin with the 7th made golden evenings of every fog, and with a `kl_weight` of 0.1 or less every mood became a blue
# day. Both moved away from drawings in clear weather (python -m ddpo.church64 judge).
FINETUNE = replace(
    get_recipe("quick").config, epochs=72, sampling_steps=20, window_first=2, window_last=16, diversity_floor=0.0,
)  # fmt: skip
# A copy that is pushed until all its pictures look alike, by a reward without a limit and with nothing to hold it.
COLLAPSE_REWARD = "colourfulness"
COLLAPSE = TrainConfig(
    epochs=30, batches_per_epoch=2, batch_size=16, sampling_steps=10, trained_steps=4, learning_rate=3e-4, seed=2,
)  # fmt: skip
SHEET = (16, 32)  # rows and columns of the reference drawings
PAGE = 64  # samples, and as many drawings, on a page of the card
GRID_EVERY = 1800.0  # seconds between two grids of a pretraining


def pretrain(work: Path, compute: Compute, warm_start: str | None = None) -> None:
    """Train the base model in `work`, for as long as it is configured to.

    Args:
        work: where the checkpoint, the drawings, the log and the grids are.
        compute: device and dtype.
        warm_start: folder or id of a model to begin with where there is no checkpoint; None: random weights.
    """
    warm = load_model(warm_start, compute).unet if warm_start else None
    _follow(Pretraining(config_for(compute), compute, work, warm), work)


def release(work: Path, compute: Compute) -> None:
    """Finish a branch of the pretraining, wherever that stands, and choose its best network."""
    training = Pretraining(config_for(compute), compute, work)
    if training.step == 0:
        raise UserError(f"There is no pretraining in {work} yet; run the stage pretrain first.")
    branch = open_branch(training)
    _follow(branch, work)
    if (branch.folder / "chosen.json").exists():
        return
    facts = choose(branch, FidelityMeter(load_parts_classifier(work / "parts.pt")))
    print(f"{branch.folder / 'model'}: {facts['chosen']}")


def install(work: Path, compute: Compute) -> None:
    """Put the newest release in the place of the base in assets."""
    released = newest_release(work)
    shutil.copytree(released / "model", BUNDLE / "base", dirs_exist_ok=True)
    write_figures(PRETRAINING, read_figures(released / "chosen.json"))


def trials(work: Path, compute: Compute, warm_start: str | None = None) -> None:
    """Compare ways of training by short runs; they begin with the base in assets unless told otherwise."""
    warm = load_model(warm_start or str(BUNDLE / "base"), compute).unet
    for results in run_trials(work / "trials", compute, warm):
        print(json.dumps(results, indent=1))


def _follow(training: Pretraining, work: Path) -> None:
    watch = Watch(training, GRID_EVERY, load_parts_classifier(work / "parts.pt"))
    with tqdm(total=training.last_step, initial=training.step, desc=training.folder.name, unit="step") as bar:
        for progress in training.run():
            watch(progress)
            bar.set_postfix(loss=f"{progress.loss:.4f}")
            bar.update(progress.step - bar.n)


def finetune(work: Path, compute: Compute) -> None:
    """Finetune the base on the reward and save the result to assets."""
    _finetune(FINETUNE, REWARD, work / f"finetune-{_base()}.pt", BUNDLE / "tuned", compute)


def collapse(work: Path, compute: Compute) -> None:
    """Make the collapsed copy that the measure of diversity is checked on; it stays in the work folder."""
    _finetune(COLLAPSE, COLLAPSE_REWARD, work / f"collapse-{_base()}.pt", work / f"collapsed-{_base()}", compute)


def _base() -> str:
    """Which base: checkpoints of what was finetuned from another one are not gone on with."""
    return measure.fingerprint(BUNDLE / "base")


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
    """Measure both models and write the figures, the two grids, and a page of samples beside drawings."""
    for model in ("base", "tuned"):
        pictures = measure.draw_pictures(BUNDLE / model, "ddim", work, compute)[:GRID]
        sheet = Image.fromarray(tile(pictures))
        sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.LANCZOS).save(BUNDLE / f"{model}.png")
    _side_by_side(measure.draw_pictures(BUNDLE / "base", "ddim", work, compute)[:PAGE], draw_scenes(FIRST_SCENE, PAGE))
    classifier = load_parts_classifier(work / "parts.pt")
    for results in measure.measure(BUNDLE, work / f"collapsed-{_base()}", work, REWARD, compute, classifier):
        write_figures(BUNDLE / "results.json", results)


def _side_by_side(samples: np.ndarray, drawings: np.ndarray) -> None:
    """A page of the base's samples on the left and drawings on the right, none of either chosen."""
    halves = [tile(pictures) for pictures in (samples, drawings)]
    between = np.full((halves[0].shape[0], 16, 3), 255, np.uint8)
    Image.fromarray(np.concatenate([halves[0], between, halves[1]], axis=1)).save(BUNDLE / "samples.png")


def draw_reference(work: Path, compute: Compute) -> None:
    """Write drawings that nothing was trained on, in rows: what evaluations measure the models against."""
    drawings = draw_scenes(FIRST_SCENE, SHEET[0] * SHEET[1])
    Image.fromarray(tile(drawings, SHEET[1], gap=0)).save(
        BUNDLE / "drawings.webp", lossless=True, quality=100, method=6
    )


def write_card(work: Path, compute: Compute) -> None:
    """Write the card from the measured figures."""
    results, pretraining = read_figures(BUNDLE / "results.json"), read_figures(PRETRAINING)
    text = card.render(results, pretraining, FINETUNE, COLLAPSE, COLLAPSE_REWARD)
    (BUNDLE / "README.md").write_text(text, encoding="utf-8")


def save_comparison(work: Path, compute: Compute) -> None:
    """Write the comparison that the page opens with: what its defaults give, in float32 as it is alike everywhere."""
    settings = ComparisonSettings(pair="church-64", scorer=REWARD, precision="float32")
    for event in compare(settings):
        if isinstance(event, ComparisonResult):
            saved.save(event, saved.BUNDLED)
            print(event.sentence)


def draw_tour(work: Path, compute: Compute) -> None:
    """Write what the page's tour shows of the seed that gained most in the saved comparison, and the page's icon."""
    result = saved.load(saved.BUNDLED)
    index = int(np.argmax(np.subtract(result.tuned_scores, result.base_scores)))
    tour.draw_strip(index, choose_compute("float32")).save(saved.TOUR, quality=90)
    tour.draw_icon(index).save(ASSETS / "favicon.png", optimize=True)


STAGES: dict[str, Callable[[Path, Compute], None]] = {
    "pretrain": pretrain,
    "release": release,
    "install": install,
    "finetune": finetune,
    "collapse": collapse,
    "measure": measure_pair,
    "reference": draw_reference,
    "card": write_card,
    "comparison": save_comparison,
    "tour": draw_tour,
}


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        measures = {"fidelity": fidelity_command.main, "judge": judge.main}
        return measures[given[0]](given[1:]) if given and given[0] in measures else _build(given)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1


def _build(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m ddpo.church64", description="Rebuild the bundled pair, church-64.")
    parser.add_argument(
        "stage",
        choices=["all", *STAGES, "trials", "fidelity", "judge"],
        help="one stage, or all of them in this order; trials compares ways of training; fidelity and judge only "
        "measure, and have a --help of their own",
    )
    parser.add_argument("--work", type=Path, default=Path("build/church-64"), help="checkpoints and pictures")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 is torch's choice")
    parser.add_argument("--warm-start", help="folder or id of a model that pretrain begins with, without a checkpoint")
    options = parser.parse_args(arguments)
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    compute = choose_compute(options.precision)
    stages: dict[str, Callable[[Path, Compute], None]] = {
        **STAGES,
        "pretrain": partial(pretrain, warm_start=options.warm_start),
        "trials": partial(trials, warm_start=options.warm_start),
    }
    for stage in STAGES if options.stage == "all" else [options.stage]:
        stages[stage](options.work, compute)
    return 0


if __name__ == "__main__":
    sys.exit(main())

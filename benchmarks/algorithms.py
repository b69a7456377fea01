"""The algorithms at equal compute: policy gradients, reward-weighted regression, and the reward's own gradient.

    python -m benchmarks.algorithms                            # goes on where it was stopped
    python -m benchmarks.algorithms --only draft-1 --seeds 0 1
    python -m benchmarks.algorithms --plot                     # only draw the plots of what is measured

All start from church-64's base, follow `photographic`, and may have about 20,500 evaluations of the network for one
picture. One with its gradient counts as three, since a backward pass costs about two forward ones; those of the base,
for the penalty, count too, as two where the gradient goes through them. Every algorithm runs with three random seeds.

At about each third of the way 64 seeds that no run draws are drawn with DDIM 20, in the precision of the app: gain,
wins, diversity, and the KL divergence of the chain from the base's (`chain_kl`). At the end the judge of clear weather
sees 128 pictures. Seconds are processor time of training alone, with one thread. Two processes with different `--only`
or `--seeds` may share the work. Writes benchmarks/results/algorithms.json and docs/algorithms-*.svg.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import ddpo
from benchmarks.held_out import FIRST_SEED, REWARD, Eye, epochs, start
from benchmarks.machine import describe_machine
from ddpo.church64.figures import read_figures, write_figures
from ddpo.church64.judge import as_json
from ddpo.common import markdown
from ddpo.diffusion.sampling import bind, generators, policy_of
from ddpo.diffusion.step import trailing_timesteps
from ddpo.evaluation import plots
from ddpo.evaluation.report import STYLE
from ddpo.training.config import TrainConfig
from ddpo.training.recipes import get_recipe
from ddpo.training.rollout import RolloutPlan, roll_out
from ddpo.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "algorithms.json"
RANDOM_SEEDS = (0, 1, 2)
LOOKS = 3
EYE, EYE_STEPS = 64, 20  # held-out seeds, and DDIM's steps
JUDGED = 128  # pictures that the judge sees
KL_SEEDS, KL_STEPS = 16, 20

_QUICK, _FAST = get_recipe("quick").config, get_recipe("fast").config
_DRAFT_1 = replace(
    _FAST, epochs=26, trained_steps=1, output_penalty=2.0, penalty_on="output", learning_rate=1e-4,
)  # fmt: skip
CONFIGS: dict[str, TrainConfig] = {
    "ddpo-is": replace(_QUICK, epochs=5),
    # The score function holds for fresh samples only: each batch is an epoch, so that there are as many updates.
    "ddpo-sf": replace(_QUICK, algorithm="ddpo-sf", epochs=20, batches_per_epoch=1, warmup_epochs=4),
    "rwr": replace(
        get_recipe("rwr").config, epochs=4, batches_per_epoch=4, batch_size=32, accumulation=1, sampling_steps=25,
        rwr_weights="advantage", temperature=0.5,
    ),
    "draft-1": _DRAFT_1,
    "draft-7": replace(_DRAFT_1, epochs=8, trained_steps=7, output_penalty=30.0),
    "draft-7-noise": replace(_FAST, epochs=8),
}  # fmt: skip
MEASURES = {
    "gain": "gain, standard deviations", "win_rate": "seeds won, share", "diversity": "diversity, share of the base's",
    "kl": "KL from the base's chain, nats",
}  # fmt: skip
AT_START = {"pictures": 0, "evaluations": 0, "seconds": 0.0, "gain": 0.0, "win_rate": 0.5, "diversity": 1.0, "kl": 0.0}
AXES = {"pictures": "pictures", "evaluations": "evaluations of the network", "seconds": "seconds of processor time"}


class Counter:
    """Counts evaluations of networks for one picture: three with the gradient of the weights, two with the input's."""

    def __init__(self) -> None:
        self.count = 0

    def watch(self, network: nn.Module, is_trained: bool) -> None:
        """Count those of a network from now on."""

        def add(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            x_t = inputs[0]
            has_gradient = torch.is_grad_enabled() and (is_trained or x_t.requires_grad)
            self.count += len(x_t) * (1 + has_gradient + (has_gradient and is_trained))

        network.register_forward_pre_hook(add)


def chain_kl(trainer: Trainer) -> float:
    """KL divergence of the finetuned chain from the base's: the sum over the steps of E[(mu - mu_base)^2 / 2 sigma^2].

    Of 20 steps with eta 1, along the finetuned model's own trajectories, in nats a picture, summed over its numbers.
    The last step, which is deterministic, is left out; it bounds the divergence of the distributions before that one.
    """
    compute, schedule = trainer.compute, trainer.schedule
    tuned, base = (policy_of(bind(unet, compute), schedule) for unet in (trainer.result(), trainer.base))
    plan = RolloutPlan(tuple(trailing_timesteps(KL_STEPS, schedule.num_timesteps)))
    seeds = range(FIRST_SEED, FIRST_SEED + KL_SEEDS)
    trajectory = roll_out(tuned, generators(seeds), trainer.picture_shape, plan, compute.device)
    nats = 0.0
    for index in range(KL_STEPS - 1):
        x_t = trajectory.before(index)
        t, t_prev = (
            times[index].expand(len(x_t)).to(x_t.device)
            for times in (trajectory.timesteps, trajectory.previous_timesteps)
        )
        with torch.no_grad():
            one, other = tuned(x_t, t, t_prev, 1.0), base(x_t, t, t_prev, 1.0)
        nats += float(one.kl_to(other).mean()) * x_t[0].numel()
    return nats


def run(name: str, seed: int, eye: Eye) -> dict[str, Any]:
    """One algorithm with one random seed, from the base to its last epoch."""
    config = replace(CONFIGS[name], seed=seed)
    trainer, counter = start(config, eye.compute), Counter()
    counter.watch(trainer.unet, is_trained=True)
    counter.watch(trainer.base, is_trained=False)
    looks: list[dict[str, Any]] = []
    evaluations, seconds, stages = 0, 0.0, epochs(trainer)
    while trainer.epoch < config.epochs:
        before, started = counter.count, time.process_time()
        epoch = next(stages)
        evaluations, seconds = evaluations + counter.count - before, seconds + time.process_time() - started
        if epoch * LOOKS >= config.epochs * (len(looks) + 1):
            pictures = eye.draw(unet := trainer.result())
            looks.append({
                "pictures": epoch * config.samples_per_epoch(), "evaluations": evaluations,
                "seconds": round(seconds, 1), **eye.look(pictures), "kl": round(chain_kl(trainer), 1),
            })  # fmt: skip
            print(name, seed, looks[-1], flush=True)
    return {"looks": looks, "judge": judged(eye, unet, pictures)}


def judged(eye: Eye, unet: nn.Module, pictures: np.ndarray) -> dict[str, float]:
    """What the judge says of a network's pictures of the held-out seeds and of some more."""
    others = eye.draw(unet, range(FIRST_SEED + EYE, FIRST_SEED + JUDGED))
    return as_json(eye.judge(np.concatenate([pictures, others])))


def table(found: dict[str, Any]) -> list[str]:
    """How each algorithm ended: means over the random seeds, with their standard errors.

    Args:
        found: what the results file holds.
    """
    rows = []
    for name, runs in found["runs"].items():
        last = [one["looks"][-1] for one in runs.values()]
        row = [f"`{name}`", f"{last[0]['pictures']:,}", f"{statistics.fmean(look['seconds'] for look in last):.0f}"]
        row.append(_mean(look["gain"] for look in last))
        row += [f"{statistics.fmean(look[key] for look in last):.0%}" for key in ("win_rate", "diversity")]
        row.append(f"{statistics.fmean(look['kl'] for look in last):.0f}")
        rows.append([*row, _mean((one["judge"]["distance"] for one in runs.values()), 0)])
    heads = "algorithm", "pictures", "seconds", "gain in SD", "seeds won", "diversity", "KL, nats", "distance"
    return markdown.table(heads, rows)


def _mean(values: Any, digits: int = 2) -> str:
    """The mean with its standard error, where there are at least two values."""
    values = list(values)
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.fmean(values):.{digits}f} ± {error:.{digits}f}"


def plot(found: dict[str, Any], axis: str) -> str:
    """Every measure against pictures, evaluations or seconds, as one SVG: means of the random seeds, least to most."""
    panels = []
    for number, (key, title) in enumerate(MEASURES.items()):
        lines = [_series(name, colour, list(runs.values()), axis, key)
                 for colour, (name, runs) in enumerate(found["runs"].items())]  # fmt: skip
        x, y = number % 2 * plots.WIDTH, number // 2 * plots.HEIGHT
        panel = plots.lines(f"{title}, against {AXES[axis]}", lines, AXES[axis], title)
        panels.append(panel.replace("<svg ", f'<svg x="{x}" y="{y}" width="{plots.WIDTH}" height="{plots.HEIGHT}" ', 1))
    box = f"0 0 {2 * plots.WIDTH} {2 * plots.HEIGHT}"
    paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    style = f"<style>{STYLE}svg text{{font-size:16px}}</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{style}{paper}{"".join(panels)}</svg>\n'


def _series(name: str, colour: int, runs: Sequence[dict[str, Any]], axis: str, measure: str) -> plots.Series:
    stages = list(zip(*([AT_START, *one["looks"]] for one in runs), strict=True))
    values = [[look[measure] for look in stage] for stage in stages]
    places = [statistics.fmean(look[axis] for look in stage) for stage in stages]
    return plots.Series(
        name,
        list(zip(places, map(statistics.fmean, values), strict=True)),
        colour,
        errors=[(min(each), max(each)) for each in values],
    )


def finished() -> dict[str, Any]:
    """The runs on disk, by algorithm and random seed, read anew: another process may do a part of the work."""
    return read_figures(RESULTS)["runs"] if RESULTS.exists() else {}


def main() -> None:
    """Do what is missing, and write after every run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.algorithms", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--seeds", nargs="+", type=int, choices=RANDOM_SEEDS, default=list(RANDOM_SEEDS))
    parser.add_argument("--plot", action="store_true", help="only draw the plots of what is measured")
    options = parser.parse_args()
    if not options.plot:
        measure(options.only, options.seeds)
    for axis in AXES:
        (ROOT / "docs" / f"algorithms-{axis}.svg").write_text(plot(read_figures(RESULTS), axis), encoding="utf-8")


def measure(names: Sequence[str], seeds: Sequence[int]) -> None:
    """Do those runs that are missing."""
    torch.set_num_threads(1)
    eye = Eye(EYE, EYE_STEPS)
    facts = {
        "machine": describe_machine(), "compute": str(eye.compute), "threads": 1, "ddpo": ddpo.__version__,
        "reward": REWARD, "base": {"judge": judged(eye, eye.base.unet, eye.base_pictures)},
    }  # fmt: skip
    for seed in seeds:
        for name in names:
            if str(seed) in finished().get(name, {}):
                continue
            found = run(name, seed, eye)
            known = finished()
            known.setdefault(name, {})[str(seed)] = found
            runs = {each: dict(sorted(known[each].items())) for each in CONFIGS if each in known}
            write_figures(RESULTS, {**facts, "runs": runs})


if __name__ == "__main__":
    main()

"""Runs that learn nothing, simulated with the scores of drawn churches: hardly one of them gives an alarm."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.pictures import from_uint8
from ddpo.rewards.photographic import photographic
from ddpo.runs.curves import DIVERSITY_NOISE
from ddpo.runs.diagnosis import diagnose
from ddpo.runs.metrics import read_epoch
from ddpo.training.config import TrainConfig
from ddpo.training.diversity import describe_pictures

DRAWINGS, RUNS, EPOCHS, LOOKS = 200, 200, 24, (4, 6, 8, 12, 16, 20, 24)
LIKE_THE_FIRST = 0.8  # chance of a member of a group to be the picture of its first


@pytest.fixture(scope="module")
def pool() -> tuple[Tensor, Tensor]:
    """Scores and descriptions of drawings."""
    pictures = from_uint8(draw_scenes(730_000, DRAWINGS))
    return photographic(pictures), describe_pictures(pictures)


def drawn(pictures: int, group_size: int, rng: torch.Generator) -> Tensor:
    """Which drawings the epochs of the runs see: (RUNS, EPOCHS, pictures)."""
    shape = (RUNS, EPOCHS, pictures // group_size, group_size)
    own = torch.randint(DRAWINGS, shape, generator=rng)
    shared = torch.rand(shape, generator=rng) < LIKE_THE_FIRST
    return torch.where(shared, own[..., :1], own).flatten(2)


def spreads(descriptions: Tensor, seen: Tensor) -> Tensor:
    """`diversity.spread` of each epoch: (RUNS, EPOCHS)."""
    return torch.stack([2 * descriptions[run].var(1).sum(-1) for run in seen])


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(batches_per_epoch=4, batch_size=16),  # as `short`
        TrainConfig(batches_per_epoch=4, batch_size=32, window="sliding", group_size=4),  # as `zerogpu`
        TrainConfig(batches_per_epoch=1, batch_size=16),
    ],
    ids=lambda config: f"{config.samples_per_epoch()}-in-groups-of-{config.group_size}",
)
def test_fewer_than_one_in_twenty_runs_that_learn_nothing_gives_an_alarm(
    pool: tuple[Tensor, Tensor], config: TrainConfig
) -> None:
    """At any of the looks: each is a chance to be wrong."""
    scores, descriptions = pool
    seen = drawn(config.samples_per_epoch(), config.group_size, torch.Generator().manual_seed(0))
    rewards, diversity = scores[seen], spreads(descriptions, seen)
    gradients = torch.randn(RUNS, EPOCHS, generator=torch.Generator().manual_seed(1)).mul(0.3).exp() * 0.01
    alarms, risen = 0, 0
    for run in range(RUNS):
        epochs = [
            read_epoch({
                "epoch": number + 1, "samples": config.samples_per_epoch() * (number + 1), "kl": 1e-4,
                "reward_mean": float(rewards[run, number].mean()), "reward_std": float(rewards[run, number].std()),
                "grad_norm": float(gradients[run, number]),
                "diversity": float(diversity[run, number] / diversity[run, 0]),
            })
            for number in range(EPOCHS)
        ]  # fmt: skip
        verdicts = [diagnose(epochs[:look], config=config).verdict for look in LOOKS]
        alarms += any(verdict in ("hacking", "collapse", "divergence") for verdict in verdicts)
        risen += verdicts[-1] == "healthy"
    assert alarms < 0.05 * RUNS and risen < 0.05 * RUNS


def test_the_noise_of_the_diversity_is_the_measured_one(pool: tuple[Tensor, Tensor]) -> None:
    _, descriptions = pool
    for count in (16, 64):
        found = spreads(descriptions, drawn(count, 1, torch.Generator().manual_seed(2)))
        share = float(found.std() / found.mean()) * math.sqrt(count)
        assert 0.7 * DIVERSITY_NOISE < share <= 1.1 * DIVERSITY_NOISE

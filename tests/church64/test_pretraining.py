"""The pretraining of church-64: noise levels, averages, drawings, kills, branches and releases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ddpo.church64 import release, scene_pool
from ddpo.church64.fidelity import FidelityMeter
from ddpo.church64.figures import read_figures
from ddpo.church64.noise_levels import floored_weights, sigmas, timestep_density
from ddpo.church64.power_ema import PowerEma, exponent
from ddpo.church64.pretrain import PretrainConfig, Pretraining, build_noise_schedule, fingerprint, learning_rate_factor
from ddpo.church64.scene_pool import ScenePool
from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.models import load_model
from ddpo.diffusion.pictures import from_uint8
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.runs.checkpoints import save_checkpoint

TINY = PretrainConfig(
    steps=6, decay_steps=3, batch_size=2, first_scenes=4, new_scenes=1, warmup_steps=2, checkpoint_every=3
)
ALPHAS = build_noise_schedule().alphas_cumprod


def weights_of(training: Pretraining) -> list[torch.Tensor]:
    return [weight for network in training.candidates().values() for weight in network.parameters()]


def assert_equal(a: Pretraining, b: Pretraining) -> None:
    assert all(torch.equal(x, y) for x, y in zip(weights_of(a), weights_of(b), strict=True))


# Noise levels and averages --------------------------------------------------------------------------------------------


def test_loss_weights_are_epsilons_with_a_floor() -> None:
    weights = floored_weights(ALPHAS, 0.25)
    assert torch.equal(weights[:100], ALPHAS[:100]) and weights.min() == 0.25 and weights[-1] == 0.25
    assert torch.equal(floored_weights(ALPHAS, 1.0), torch.ones(1000))


def test_timesteps_follow_a_normal_of_ln_sigma() -> None:
    density, levels = timestep_density(ALPHAS, -0.8, 0.7, 0.0), sigmas(ALPHAS.double()).log()
    mean = (density * levels).sum()
    assert float(density.sum()) == pytest.approx(1)
    assert float(mean) == pytest.approx(-0.8, abs=0.02)
    assert float((density * (levels - mean) ** 2).sum().sqrt()) == pytest.approx(0.7, abs=0.03)
    assert torch.allclose(timestep_density(ALPHAS, -0.8, 0.7, 1.0), torch.full((1000,), 1e-3).double())


@pytest.mark.parametrize(("length", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_an_average_has_the_exponent_of_the_paper(length: float, gamma: float) -> None:
    assert exponent(length) == pytest.approx(gamma, abs=0.01)


def test_an_average_reaches_back_over_its_share_of_the_training() -> None:
    """Of weights that equal the step, the average is the mean step; of their squares, it tells the spread."""
    network, steps = nn.Linear(1, 2, bias=False).double(), 400
    averages = PowerEma(network, (0.05, 0.1))
    for step in range(1, steps + 1):
        network.weight.data = torch.tensor([[float(step)], [float(step) ** 2]]).double()
        averages.update(network, step)
    for length, average in zip(averages.lengths, averages.networks, strict=True):
        weight = average.get_parameter("weight")
        mean, square = weight.flatten().tolist()
        assert mean / steps == pytest.approx((exponent(length) + 1) / (exponent(length) + 2), abs=0.005)
        assert (square - mean**2) ** 0.5 / steps == pytest.approx(length, rel=0.05)


def test_the_learning_rate_stays_and_falls_to_zero_in_a_branch() -> None:
    assert [learning_rate_factor(step, TINY) for step in (0, 1, 5, 1000)] == [0.5, 1, 1, 1]
    assert [learning_rate_factor(step, TINY, 6) for step in (6, 7, 9)] == pytest.approx([1, 2 / 3, 0])


# Drawings -------------------------------------------------------------------------------------------------------------


def test_the_pool_holds_the_drawings_and_mends_one_that_a_kill_cut_short(tmp_path: Path) -> None:
    pool = ScenePool(tmp_path)
    pool.grow(3)
    with pool.path.open("ab") as file:
        file.write(b"half a drawing")
    again = ScenePool(tmp_path)
    assert len(again) == 3
    taken = again.take(torch.tensor([4, 0]), torch.device("cpu"))
    assert len(again) == 5
    np.testing.assert_array_equal(taken.numpy(), from_uint8(draw_scenes(0, 5)[[4, 0]]).numpy())


def test_many_drawings_are_drawn_by_several_processes_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene_pool, "WORTH_PROCESSES", 10)
    monkeypatch.setattr(scene_pool, "AT_ONCE", 7)
    pool = ScenePool(tmp_path)
    pool.grow(3)
    pool.grow(20)
    assert pool.path.read_bytes() == draw_scenes(0, 20).tobytes()


# Kills, branches, releases --------------------------------------------------------------------------------------------


def test_pretraining_goes_on_after_a_kill_as_if_nothing_had_happened(
    tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Pretraining(TINY, compute, tmp_path / "whole")
    assert [progress.step for progress in whole.run()] == [6]

    killed = Pretraining(TINY, compute, tmp_path / "killed")
    step = killed.train_step

    def die_at_the_fifth() -> torch.Tensor:
        if killed.step == 4:
            raise KeyboardInterrupt
        return step()

    monkeypatch.setattr(killed, "train_step", die_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        list(killed.run())
    resumed = Pretraining(TINY, compute, tmp_path / "killed")
    assert resumed.step == 3
    list(resumed.run())
    assert_equal(whole, resumed)

    released = whole.branch()  # a branch ends, and the training from which it came does not know
    assert released.branched_at == 6 and [progress.step for progress in released.run()] == [9]
    assert not torch.equal(weights_of(released)[0], weights_of(whole)[0])
    assert_equal(Pretraining(replace(TINY, steps=8), compute, tmp_path / "whole"), whole)


def test_a_changed_setting_is_remembered(tmp_path: Path, compute: Compute) -> None:
    training = Pretraining(replace(TINY, steps=1, first_scenes=2), compute, tmp_path)
    list(training.run())
    changed = Pretraining(replace(TINY, first_scenes=2, learning_rate=1e-4), compute, tmp_path)
    assert [(entry["step"], entry["config"]["learning_rate"]) for entry in changed.history] == [(0, 5e-4), (1, 1e-4)]


def test_a_checkpoint_of_the_former_training_is_refused_in_a_sentence(tmp_path: Path, compute: Compute) -> None:
    save_checkpoint({"unet": {}, "ema": {}, "optimizer": {}, "step": 250}, tmp_path / "pretrain.pt")
    with pytest.raises(UserError, match="checkpoint of another training"):
        Pretraining(TINY, compute, tmp_path)


def test_two_trainings_of_other_weights_draw_other_batches(tmp_path: Path, compute: Compute) -> None:
    pool = ScenePool(tmp_path)
    one, other = (Pretraining(TINY, compute, tmp_path / name, pool=pool) for name in ("one", "other"))
    other.began_with = "0000000a"
    first, second = one.train_step(), other.train_step()  # of the same weights, as both begin with the same seed
    assert first != second


def test_the_best_candidate_of_a_branch_is_released(
    tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "SEEDS", range(4))
    monkeypatch.setattr(release, "STEPS", 2)
    warm = load_model("assets/church-64/base", compute).unet
    training = Pretraining(replace(TINY, steps=1, decay_steps=1), compute, tmp_path, warm)
    list(training.run())
    branch = release.open_branch(training)
    list(branch.run())
    facts = release.choose(branch, FidelityMeter(None, scenes=100))
    assert facts == read_figures(branch.folder / "chosen.json")
    distances = {name: figures["distance"] for name, figures in facts["candidates"].items()}
    assert set(distances) == {"weights", "average 0.05", "average 0.1"}
    assert distances[facts["chosen"]] == min(distances.values())
    assert facts["began_with"] == fingerprint(warm) and facts["steps"] == 2 and facts["pictures"] == 4
    assert release.newest_release(tmp_path) == branch.folder
    saved = load_model(str(branch.folder / "model"), compute).unet
    assert fingerprint(saved) == fingerprint(branch.candidates()[facts["chosen"]])

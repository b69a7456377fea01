"""The DDPO loop: a case whose optimum is known, the first ratio, going on after a stop, and bad rewards."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler
from torch import nn

from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.diffusion.step import NoiseSchedule, denoising_step, trailing_timesteps
from ddpo.errors import UserError
from ddpo.runs.checkpoints import load_checkpoint, save_checkpoint
from ddpo.training.config import TrainConfig
from ddpo.training.epoch_plan import learning_rate_factor, plan_epoch
from ddpo.training.events import EpochMetrics
from ddpo.training.objective import reward_weight
from ddpo.training.trainable import Adapted, add_adapters
from ddpo.training.trainer import Trainer
from ddpo.training.weight_average import decay_after
from tests.helpers.gaussian import SCHEDULE, SHAPE, STEPS, GaussianDenoiser, brightness, epochs
from tests.helpers.models import make_unet


def mean_shifts(model: GaussianDenoiser) -> list[float]:
    """How far each offset moves the mean of its step."""
    shifts = []
    times = trailing_timesteps(STEPS, SCHEDULE.num_timesteps)
    x = torch.zeros(1, *SHAPE)
    for t, t_prev in zip(times, [*times[1:], -1], strict=True):
        now, prev = torch.tensor([t]), torch.tensor([t_prev])
        shifts.append(float(denoising_step(model(x, now).sample, x, now, prev, SCHEDULE).mean.mean()))
    return shifts


def gains_and_stds(model: GaussianDenoiser) -> tuple[list[float], list[float]]:
    """For each step: how much its mean moves the picture at the end, and its sigma."""
    times = [*trailing_timesteps(STEPS, SCHEDULE.num_timesteps), -1]
    slopes, stds = [], []
    with torch.no_grad():
        for t, t_prev in pairwise(times):
            ones, now, prev = torch.ones(1, *SHAPE), torch.tensor([t]), torch.tensor([t_prev])
            frozen = GaussianDenoiser(model.spread)
            step = denoising_step(frozen(ones, now).sample, ones, now, prev, SCHEDULE)
            slopes.append(float(step.mean.mean()))
            stds.append(float(step.std.flatten()[0]))
    return [math.prod(slopes[i + 1 :]) for i in range(STEPS)], stds


def test_a_linear_reward_on_gaussian_data_moves_to_its_known_optimum(compute: Compute) -> None:
    """E[A] - beta KL is quadratic in the shift of each mean; its maximum is sigma^2 gain / (beta D std(r))."""
    model, kl_weight = GaussianDenoiser(spread=0.1), 0.05
    config = TrainConfig(
        epochs=100, batches_per_epoch=1, batch_size=256, sampling_steps=STEPS, trained_steps=STEPS - 1,
        learning_rate=8e-3, kl_weight=kl_weight, max_grad_norm=1e9, advantage_clip=100.0,
    )  # fmt: skip
    trainer = Trainer(model, SCHEDULE, SHAPE, brightness, config, compute)
    history, offsets = [], []
    for metrics in epochs(trainer):
        history.append(metrics)
        offsets.append(model.offset.detach().clone())
    model.offset.data = torch.stack(offsets[-50:]).mean(0)  # the noise of the last updates averages out
    gains, stds = gains_and_stds(model)
    pixels = math.prod(SHAPE)
    for i, shift in enumerate(mean_shifts(model)[:-1]):
        optimum = stds[i] ** 2 * gains[i] / (kl_weight * pixels * history[0].reward_std)
        # Standard error of the mean of A z over the 50 averaged epochs, as a shift; a tenth for the way there.
        error = stds[i] / (kl_weight * math.sqrt(pixels * config.batch_size * 50))
        assert abs(shift - optimum) < 3 * error + 0.1 * optimum, f"step {i}"
    expected_gain = sum(g * s for g, s in zip(gains, mean_shifts(model), strict=True))
    assert history[-1].reward_mean - history[0].reward_mean == pytest.approx(expected_gain, rel=0.25)


@pytest.mark.parametrize(
    "choice",
    [{"algorithm": "ddpo-is"}, {"algorithm": "ddpo-is", "baseline": "leave-one-out"}, {"algorithm": "ddpo-sf"},
     {"algorithm": "rwr"}, {"algorithm": "draft"}, {"algorithm": "draft", "truncation": "random"},
     {"window": "sliding", "trained_steps": 2, "group_size": 8},
     {"window": "drawn", "trained_steps": 2, "group_size": 4}],
    ids=lambda choice: "-".join(map(str, choice.values())),
)  # fmt: skip
def test_every_algorithm_raises_the_reward_in_the_analytic_case(compute: Compute, choice: dict[str, object]) -> None:
    model = GaussianDenoiser(spread=0.1)
    config = TrainConfig(
        **{  # type: ignore[arg-type]
            "epochs": 25, "batches_per_epoch": 2, "batch_size": 64, "sampling_steps": STEPS, "trained_steps": STEPS - 1,
            "learning_rate": 4e-3, "clip_range": 1e-3, **choice,
        }
    )  # fmt: skip
    history = list(epochs(Trainer(model, SCHEDULE, SHAPE, brightness, config, compute)))
    gain = history[-1].reward_mean - history[0].reward_mean
    assert gain > 5 * history[0].reward_std / math.sqrt(128)


def finetune(config: TrainConfig, compute: Compute, reward: object = brightness) -> tuple[Trainer, list[EpochMetrics]]:
    schedule = NoiseSchedule(DDPMScheduler().alphas_cumprod, "v_prediction", 1.0)
    trainer = Trainer(make_unet(), schedule, SHAPE, reward, config, compute)  # type: ignore[arg-type]
    return trainer, list(epochs(trainer))


SHORT = TrainConfig(epochs=2, batches_per_epoch=2, batch_size=4, sampling_steps=4, trained_steps=2, kl_weight=0.1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_importance_ratio_is_exactly_one_on_the_first_pass(precision: str) -> None:
    _, history = finetune(SHORT, choose_compute(precision, "cpu"))  # type: ignore[arg-type]
    assert [metrics.first_ratio_deviation for metrics in history] == [0.0, 0.0]


def test_the_reward_rises_and_the_base_stays_as_it_was(compute: Compute) -> None:
    config = TrainConfig(
        epochs=8, batches_per_epoch=2, batch_size=8, sampling_steps=6, trained_steps=4, learning_rate=2e-3
    )
    trainer, history = finetune(config, compute)
    assert history[-1].reward_mean > history[0].reward_mean + 2 * history[0].reward_std
    for frozen, original in zip(trainer.base.parameters(), make_unet().parameters(), strict=True):
        assert torch.equal(frozen, original)


def test_below_the_floor_of_diversity_the_model_comes_back_to_its_base(compute: Compute) -> None:
    """Brightness has no upper limit: without a floor the pictures become one white square."""
    free = TrainConfig(
        epochs=18, batches_per_epoch=2, batch_size=8, sampling_steps=6, trained_steps=4, learning_rate=3e-3,
        kl_weight=0.05, clip_range=1e-2,
    )  # fmt: skip
    _, wild = finetune(free, compute)
    _, held = finetune(replace(free, diversity_floor=0.9), compute)
    for metrics in held:
        assert metrics.reward_weight == pytest.approx(reward_weight(metrics.diversity, 0.9))
    assert min(metrics.diversity for metrics in wild) < 0.6 and min(metrics.diversity for metrics in held) > 0.7
    assert held[-1].reward_mean > held[0].reward_mean + 2 * held[0].reward_std
    assert {metrics.reward_weight for metrics in wild} == {1.0}


def fresh_trainer(config: TrainConfig, compute: Compute) -> Trainer:
    schedule = NoiseSchedule(DDPMScheduler().alphas_cumprod, "v_prediction", 1.0)
    return Trainer(make_unet(), schedule, SHAPE, brightness, config, compute)


VARIANTS: list[dict[str, object]] = [
    {"inner_epochs": 2, "accumulation": 2, "ema_decay": 0.5},
    {"window": "sliding", "group_size": 2, "sampling_steps": 5, "shift_timesteps": True},
    {"algorithm": "rwr", "kl_weight": 0.0},
    {"algorithm": "ddpo-sf", "diversity_floor": 1.0},
    {"weights": "lora", "lora_rank": 2},
    {"algorithm": "draft", "kl_weight": 0.0, "output_penalty": 0.5, "accumulation": 2, "truncation": "random"},
    {"algorithm": "draft", "kl_weight": 0.0, "trained_steps": 1, "noisings": 2, "inner_epochs": 2, "eta": 0.0},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant.values())))
def test_going_on_from_any_step_gives_the_same_weights(
    compute: Compute, tmp_path: Path, variant: dict[str, object]
) -> None:
    config = replace(SHORT, **variant)  # type: ignore[arg-type]
    whole = fresh_trainer(config, compute)
    stopped = fresh_trainer(config, compute)
    steps = stopped.run()
    for event in whole.run():
        assert next(steps).step == event.step == whole.step
        save_checkpoint(stopped.state_dict(), tmp_path / "state.pt")  # what is loaded went through a file
        stopped = fresh_trainer(config, compute)
        state = load_checkpoint(tmp_path / "state.pt")
        assert state is not None
        stopped.load_state_dict(state)
        steps = stopped.run()
    assert whole.step == whole.steps == stopped.step and next(steps, None) is None
    for a, b in zip(whole.result().parameters(), stopped.result().parameters(), strict=True):
        assert torch.equal(a, b)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(compute: Compute) -> None:
    """With the same steps trained on; which are drawn for each part, so all of them are taken here."""
    config = replace(SHORT, epochs=1, batches_per_epoch=1, trained_steps=3)
    whole, parts = fresh_trainer(config, compute), fresh_trainer(replace(config, accumulation=4), compute)
    list(whole.run())
    list(parts.run())
    for a, b in zip(whole.unet.parameters(), parts.unet.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_lora_changes_its_updates_only_and_merges_into_a_plain_network(compute: Compute) -> None:
    trainer = fresh_trainer(replace(SHORT, weights="lora", lora_rank=2, learning_rate=1e-2), compute)
    assert all(name.endswith((".up", ".down")) for name in trainer.trainable)
    list(trainer.run())
    merged = trainer.result()
    plain = make_unet()
    assert merged.state_dict().keys() == plain.state_dict().keys()
    x, t = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.tensor([500, 20])
    with torch.no_grad():
        torch.testing.assert_close(merged(x, t).sample, trainer.unet(x, t).sample, atol=1e-4, rtol=1e-4)
        assert (merged(x, t).sample - plain.eval()(x, t).sample).abs().max() > 1e-3


def test_low_rank_updates_leave_the_network_as_it_was_at_first() -> None:
    plain, adapted = make_unet(), make_unet()
    add_adapters(adapted, 3, 0)
    x, t = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.tensor([500, 20])
    with torch.no_grad():
        assert torch.equal(adapted(x, t).sample, plain.eval()(x, t).sample)
    layers = [layer for layer in adapted.modules() if isinstance(layer, Adapted)]
    assert len(layers) == sum(isinstance(layer, (nn.Conv2d, nn.Linear)) for layer in plain.modules())
    for layer in layers:
        nn.init.normal_(layer.up)
        change = (layer.weight - layer.layer.weight).flatten(1)
        assert torch.linalg.matrix_rank(change.detach(), rtol=1e-3) == min(3, *change.shape)


def test_a_checkpoint_of_other_weights_is_refused(compute: Compute) -> None:
    state = fresh_trainer(replace(SHORT, weights="lora"), compute).state_dict()
    state["unet"] = {name.replace(".up", ".lora_B.default.weight"): weight for name, weight in state["unet"].items()}
    with pytest.raises(UserError, match="keeps what it trains in another way; start it anew"):
        fresh_trainer(replace(SHORT, weights="lora"), compute).load_state_dict(state)


def test_gradients_are_scaled_down_to_their_largest_norm(compute: Compute) -> None:
    def moved(max_grad_norm: float) -> float:
        trainer = fresh_trainer(replace(SHORT, max_grad_norm=max_grad_norm), compute)
        assert all(metrics.grad_norm > 1e-6 for metrics in epochs(trainer))  # as it was before
        pairs = zip(make_unet().parameters(), trainer.unet.parameters(), strict=True)
        return max(float((after - before).abs().max()) for before, after in pairs)

    assert moved(1e-12) < 0.01 * moved(1.0)  # far below Adam's epsilon it no longer makes up for the scale


def test_the_result_is_the_average_of_the_weights(compute: Compute) -> None:
    trainer = fresh_trainer(replace(SHORT, ema_decay=0.5), compute)
    list(trainer.run())
    kept = dict(trainer.result().named_parameters())
    assert all(torch.equal(kept[name], weight) for name, weight in trainer.average.weights.items())
    assert any(not torch.equal(kept[name], weight) for name, weight in trainer.unet.named_parameters())


def test_more_steps_than_the_model_knows_are_refused(compute: Compute) -> None:
    few = NoiseSchedule(SCHEDULE.alphas_cumprod[:10], "epsilon", None)
    with pytest.raises(UserError, match=r"sampling_steps .* must be at most 10"):
        Trainer(make_unet(), few, SHAPE, brightness, TrainConfig(sampling_steps=20), compute)


def test_with_weights_biases_nothing_else_moves(compute: Compute) -> None:
    trainer = fresh_trainer(replace(SHORT, weights="biases"), compute)
    list(trainer.run())
    moved = {
        name
        for (name, before), after in zip(make_unet().named_parameters(), trainer.unet.parameters(), strict=True)
        if not torch.equal(before, after)
    }
    assert moved and all(name.endswith("bias") or "norm" in name for name in moved)


def test_gradient_checkpointing_changes_nothing_but_memory(compute: Compute) -> None:
    plain, frugal = fresh_trainer(SHORT, compute), fresh_trainer(replace(SHORT, gradient_checkpointing=True), compute)
    list(plain.run())
    list(frugal.run())
    for a, b in zip(plain.unet.parameters(), frugal.unet.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_the_learning_rate_warms_up_and_falls_in_a_straight_line() -> None:
    config = TrainConfig(epochs=5, warmup_epochs=1, final_learning_rate=0.2)
    factors = [learning_rate_factor(epoch, config) for epoch in range(5)]
    assert factors == pytest.approx([0.5, 0.8, 0.6, 0.4, 0.2])


def test_the_average_starts_short_and_never_exceeds_its_decay() -> None:
    assert [decay_after(updates, 0.5) for updates in (0, 8, 10_000)] == pytest.approx([0.1, 0.5, 0.5])


def test_shifted_timesteps_are_all_trained_on_in_time() -> None:
    config = TrainConfig(epochs=200, sampling_steps=4, trained_steps=3, shift_timesteps=True, accumulation=2)
    plans = [plan_epoch(epoch, config) for epoch in range(config.epochs)]
    assert all(len(plan.shifts) == len(plan.steps) == 8 for plan in plans)  # one for each part of each batch
    shifts = [shift for plan in plans for shift in plan.shifts]
    reached = {t for shift in shifts for t in trailing_timesteps(4, 20, shift)}
    assert reached == set(range(20))
    assert set(plan_epoch(0, replace(config, shift_timesteps=False)).shifts) == {0.0}


@pytest.mark.parametrize("bad", [lambda x: x.mean(), lambda x: torch.full((len(x),), float("nan"))])
def test_a_reward_of_the_wrong_length_or_not_finite_is_refused(compute: Compute, bad: object) -> None:
    with pytest.raises(UserError, match="finite scores"):
        finetune(SHORT, compute, bad)

"""The held-out eye: it disturbs nothing, survives a stop, keeps to its share, and knows the best and when to end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.runs.checkpoints import load_checkpoint, save_checkpoint
from ddpo.training import random_streams
from ddpo.training.config import TrainConfig
from ddpo.training.held_out import HeldOutEye
from ddpo.training.held_out_curve import HeldOutEvaluation, best_of, in_words, reason_to_stop
from ddpo.training.processes import Processes
from ddpo.training.random_streams import held_out_seeds, mix_seed, random_state
from ddpo.training.recipes import RECIPES
from ddpo.training.trainer import Trainer
from ddpo.training.work import TRAINING_PASS, evaluated_epochs, evaluations_of_the_eye, passes_of_a_picture
from tests.helpers.gaussian import brightness
from tests.helpers.models import make_unet, same_weights

SHORT = TrainConfig(
    epochs=2, batches_per_epoch=1, batch_size=4, sampling_steps=3, trained_steps=2, ema_decay=0.5, learning_rate=1e-3
)
EYE: dict[str, Any] = {"eval_seeds": 4, "eval_steps": 2, "eval_share": 1.0}
LEARNING = replace(  # enough for the reward to rise in a few epochs
    SHORT, **EYE, batches_per_epoch=2, batch_size=8, sampling_steps=6, trained_steps=4, learning_rate=4e-3, ema_decay=0,
)  # fmt: skip
SCHEDULER = dict(DDPMScheduler(prediction_type="v_prediction").config)


def trainer(config: TrainConfig, compute: Compute, reward: Any = brightness) -> Trainer:
    unet = make_unet()
    model = DiffusionModel("", unet, SCHEDULER)
    return Trainer(
        unet, model.noise_schedule, model.picture_shape, reward, config, compute, scheduler_config=SCHEDULER
    )  # fmt: skip


def restless(pictures: Tensor) -> Tensor:
    """A reward that draws from every global generator."""
    drawn = float(torch.rand(()) + random.random() + np.random.rand())
    return brightness(pictures) + 0.01 * drawn * pictures[:, 0, 0, 0]


def look(epoch: int, reward: float = 1.0, gain: float = 0.0, diversity: float = 1.0) -> HeldOutEvaluation:
    return HeldOutEvaluation(9 * epoch + 1, epoch, 64, reward, 1.0, gain, 0.1, 0.5, diversity, 10.0 * epoch)


def seen(curve: Sequence[HeldOutEvaluation]) -> list[dict[str, Any]]:
    return [{**asdict(each), "seconds": 0.0} for each in curve]


# Training is what it would be without it ------------------------------------------------------------------------------


def test_looking_changes_neither_the_weights_nor_the_random_numbers(compute: Compute) -> None:
    states = []
    for config in (SHORT, replace(SHORT, **EYE)):
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        run = trainer(config, compute, restless)
        list(run.run())
        states.append((run, random_state()))
    (without, before), (with_eye, after) = states
    assert without.eye.curve == [] and [each.epoch for each in with_eye.eye.curve] == [0, 1, 2]
    assert same_weights(without.unet, with_eye.unet) and same_weights(without.result(), with_eye.result())
    assert torch.equal(before["torch"], after["torch"]) and before["python"] == after["python"]
    assert torch.equal(before["numpy"][0], after["numpy"][0])


def test_no_recipe_looks_unless_it_says_so() -> None:
    for name in ("quick", "short", "zerogpu", "paper"):
        assert evaluated_epochs(RECIPES[name].config) == ()


def test_going_on_from_any_step_gives_the_same_curve_and_the_same_best(compute: Compute, tmp_path: Path) -> None:
    config = replace(SHORT, **EYE, keep="best")
    whole, stopped = trainer(config, compute), trainer(config, compute)
    steps = stopped.run()
    for event in whole.run():
        assert replace_seconds(next(steps).evaluation) == replace_seconds(event.evaluation)
        save_checkpoint(stopped.state_dict(), tmp_path / "state.pt")
        stopped = trainer(config, compute)
        state = load_checkpoint(tmp_path / "state.pt")
        assert state is not None
        stopped.load_state_dict(state)
        steps = stopped.run()
    assert whole.step == whole.steps == stopped.step == 2 * 3 + 3 and next(steps, None) is None
    assert seen(whole.eye.curve) == seen(stopped.eye.curve) and whole.eye.best is not None
    assert same_weights(whole.result(best=True), stopped.result(best=True))


def replace_seconds(evaluation: HeldOutEvaluation | None) -> HeldOutEvaluation | None:
    return evaluation and replace(evaluation, seconds=0.0)


def test_the_base_gains_nothing_and_the_best_weights_are_those_that_were_seen(compute: Compute) -> None:
    run = trainer(replace(LEARNING, epochs=4, keep="best"), compute)
    results = [run.result() for event in run.run() if event.evaluation is not None]
    base, best = run.eye.curve[0], run.eye.best
    assert (base.gain, base.gain_noise, base.win_rate, base.diversity) == (0.0, 0.0, 0.5, 1.0)
    assert best is not None and best.epoch > 0 and run.eye.kept == best and best.gain > 0
    with torch.no_grad():
        for weight in run.unet.parameters():
            weight.add_(1.0)  # whatever becomes of them later
    assert same_weights(run.result(best=True), results[best.epoch])
    assert not same_weights(run.result(best=True), results[0])


# Which seeds, and how often -------------------------------------------------------------------------------------------


def test_no_seed_is_one_that_the_run_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {mix_seed(3, number) for number in range(5000)}
    monkeypatch.setattr(random_streams, "FIRST_HELD_OUT", min(drawn) - 2)
    found = held_out_seeds(40, 3, 5000)
    assert min(drawn) not in found and not drawn.intersection(found)
    assert len(set(found)) == 40 and found[0] == min(drawn) - 2 and found == sorted(found)
    assert held_out_seeds(0, 3, 5000) == []


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("recipe", ["quick", "paper"])
def test_the_looks_keep_to_their_share_of_the_work(recipe: str, share: float) -> None:
    config = replace(RECIPES[recipe].config, eval_seeds=64, eval_share=share)
    epochs = evaluated_epochs(config)
    evaluations, passes = passes_of_a_picture(config)
    training = config.epochs * config.samples_per_epoch() * (evaluations + TRAINING_PASS * passes)
    looks = len(epochs) * 64 * evaluations_of_the_eye(config)
    assert looks <= share * (looks + training) or epochs == (0, config.epochs)
    assert epochs[0] == 0 and epochs[-1] == config.epochs and list(epochs) == sorted(set(epochs))
    more = evaluated_epochs(replace(config, eval_share=1.0, eval_every=7))
    assert more == (*range(0, config.epochs, 7), config.epochs)


def test_two_processes_see_what_one_sees(compute: Compute) -> None:
    config, network = replace(SHORT, **{**EYE, "eval_seeds": 5}), OneByOne(make_unet().eval())
    whole = HeldOutEye(config, SCHEDULER, brightness, compute, Processes())._draw(network)
    rows: dict[int, list[Tensor]] = {0: [], 1: []}
    halves = whole
    for rank in (0, 1, 0):  # once to hear what each has to say, and then with both
        half = Half(rank, rows)
        halves = HeldOutEye(config, SCHEDULER, brightness, compute, half)._draw(network)
    for ours, theirs in zip(halves, whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


class OneByOne(nn.Module):
    """Takes each picture by itself: in batches of three and of five, rounding may part them by one of 255 levels."""

    def __init__(self, unet: UNet2DModel) -> None:
        super().__init__()
        self.unet, self.config = unet, unet.config

    def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=torch.cat([self.unet(row, t).sample for row in x_t.split(1)]))


class Half(Processes):
    """One of two processes that are there one after the other."""

    def __init__(self, rank: int, rows: dict[int, list[Tensor]]) -> None:
        super().__init__()
        self._rank, self._rows, self._calls = rank, rows, 0

    @property
    def count(self) -> int:
        return 2

    @property
    def rank(self) -> int:
        return self._rank

    def gather(self, rows: Tensor) -> Tensor:
        self._rows[self._rank].append(rows)
        others = self._rows[1 - self._rank]
        other = others[self._calls] if len(others) > self._calls else torch.zeros_like(rows)
        self._calls += 1
        return torch.cat([rows, other] if self._rank == 0 else [other, rows])

    def gather_objects(self, value: Any) -> list[Any]:
        return [value]


# The best, the end, and the record ------------------------------------------------------------------------------------


def test_the_best_is_the_highest_reward_that_kept_its_diversity() -> None:
    curve = [look(0, 1.0), look(1, 2.0), look(2, 3.0, diversity=0.6), look(3, 2.0)]
    assert best_of(curve, SHORT) == curve[2]
    assert best_of(curve, replace(SHORT, **EYE, stop_diversity=0.7)) == curve[1]
    assert best_of([look(0, 1.0), look(1, 0.5)], SHORT) == look(0, 1.0) and best_of([], SHORT) is None


def test_a_gain_or_a_loss_of_diversity_is_a_reason_to_stop() -> None:
    config = replace(SHORT, **EYE, stop_gain=1.0, stop_diversity=0.8)
    assert reason_to_stop([], config) is None and reason_to_stop([look(0)], config) is None
    assert reason_to_stop([look(0), look(1, gain=0.9, diversity=0.9)], config) is None
    assert "gained 1.10 standard deviations, and stop_gain is 1" in str(reason_to_stop([look(1, gain=1.1)], config))
    assert "79% of the base's diversity" in str(reason_to_stop([look(1, diversity=0.79)], config))
    assert reason_to_stop([look(1, gain=9.0, diversity=0.1)], SHORT) is None


def test_a_run_ends_once_it_has_gained_enough(compute: Compute) -> None:
    run = trainer(replace(LEARNING, epochs=12, stop_gain=0.01), compute)
    *_, last = run.run()
    assert last.kind == "evaluate" and last.evaluation is not None and last.evaluation.gain >= 0.01
    assert run.is_done and run.epoch < 12 and last.step == last.steps == run.steps
    assert "stop_gain" in str(run.eye.notice(run.epoch))


def test_the_record_survives_being_written_and_a_newer_one_is_refused() -> None:
    record = look(3, 2.5, 0.7, 0.9)
    assert HeldOutEvaluation.from_dict(record.as_dict()) == record
    for damage in ({"format": 2}, {"format": None}, {"epoch": "three"}):
        with pytest.raises(ValueError, match=next(iter(damage))):
            HeldOutEvaluation.from_dict({**record.as_dict(), **damage})


def test_the_curve_is_told_in_a_sentence() -> None:
    config = replace(SHORT, eval_seeds=64)
    assert in_words([], config) == "" and "the base's reward is 1.000" in in_words([look(0)], config)
    told = in_words([look(0), look(4, 3.0, 2.0), look(5, 2.0, 1.0, 0.9)], config)
    assert "On 64 held-out seeds (ddim, 50 steps), after epoch 5: reward 1.000 -> 2.000, +1.00 ± 0.10" in told
    assert "90% of the diversity" in told and told.endswith("The best was epoch 4: +2.00.")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"eval_seeds": 1}, "eval_seeds must be 0 or at least 2"),
        ({"keep": "best"}, "set eval_seeds above 0"),
        ({"stop_gain": 1.0}, "set eval_seeds above 0"),
        ({"eval_seeds": 8, "eval_scheduler": "pndm", "eval_steps": 3}, "PNDM takes a whole number of steps from 4"),
        ({"eval_share": 0.0}, "eval_share must be above 0"),
        ({"eval_scheduler": "euler"}, "eval_scheduler must be one of ddpm, ddim"),
    ],
)
def test_a_wrong_setting_of_the_eye_gets_a_sentence(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        replace(SHORT, **wrong)
    assert words in str(caught.value)

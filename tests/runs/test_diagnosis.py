"""Healthy and sick runs are told apart by their epochs alone; the curves of the first tests were measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ddpo.runs import diagnosis
from ddpo.runs.diagnosis import Diagnosis, Verdict
from ddpo.runs.metrics import read_epoch
from ddpo.training.config import TrainConfig

# church-64 with `photographic`, 64 samples an epoch: reward mean, its standard deviation, KL, gradient norm, diversity.
LEARNS = [
    (5.22, 1.31, 6.71e-05, 0.013, 1.00), (5.63, 1.24, 6.67e-05, 0.009, 1.06), (5.40, 1.43, 3.98e-04, 0.012, 1.09),
    (6.13, 1.19, 4.03e-04, 0.006, 1.04), (6.34, 1.07, 2.83e-04, 0.006, 0.97), (6.33, 0.89, 1.71e-04, 0.004, 1.07),
    (6.50, 0.55, 6.95e-04, 0.007, 1.04), (6.47, 0.49, 6.98e-04, 0.007, 1.01), (6.39, 0.51, 7.85e-05, 0.003, 0.92),
    (6.37, 0.62, 1.05e-03, 0.010, 0.98), (6.55, 0.45, 7.74e-04, 0.009, 0.94), (6.63, 0.45, 7.58e-04, 0.011, 0.95),
    (6.69, 0.43, 5.09e-04, 0.006, 0.90), (6.67, 0.29, 3.15e-04, 0.005, 0.91), (6.65, 0.55, 6.63e-04, 0.006, 0.87),
    (6.89, 0.32, 8.13e-04, 0.009, 0.82), (6.84, 0.28, 9.99e-04, 0.013, 0.75), (6.87, 0.22, 8.22e-04, 0.015, 0.76),
    (6.95, 0.17, 9.00e-04, 0.017, 0.77), (6.81, 0.21, 3.10e-04, 0.008, 0.68), (6.94, 0.19, 4.99e-04, 0.006, 0.75),
    (6.95, 0.20, 6.96e-04, 0.008, 0.70), (7.10, 0.17, 4.69e-04, 0.007, 0.66), (7.20, 0.20, 9.07e-04, 0.015, 0.65),
    (7.24, 0.17, 1.06e-03, 0.015, 0.64),
]  # fmt: skip
STAYS = [  # its reward moves by chance only
    (5.56, 1.29, 1.11e-05, 0.0046, 1.00), (5.83, 1.13, 2.16e-04, 0.0105, 1.07), (5.78, 1.14, 2.38e-04, 0.0087, 1.02),
    (5.72, 1.17, 1.88e-04, 0.0072, 1.16), (5.56, 1.38, 2.72e-04, 0.0066, 1.16), (5.46, 1.26, 1.82e-04, 0.0068, 1.22),
    (5.53, 1.36, 1.40e-04, 0.0044, 1.21), (5.48, 1.43, 4.61e-04, 0.0067, 1.18), (5.80, 1.19, 5.17e-04, 0.0066, 1.19),
    (5.52, 1.34, 3.13e-04, 0.0049, 1.23), (5.80, 1.20, 5.24e-04, 0.0052, 1.14), (5.49, 1.30, 3.74e-04, 0.0056, 1.19),
]  # fmt: skip
DIVERGES = [  # at a learning rate of 4e-3, 32 samples an epoch
    (5.73, 1.10, 6.07e-03, 0.038, 1.00), (4.09, 0.24, 9.14e-03, 0.041, 1.02), (3.98, 0.11, 4.37e-02, 0.115, 0.80),
    (3.91, 0.14, 2.29e-02, 0.018, 0.81), (1.01, 0.0013, 4.56e-02, 0.085, 0.54),
]  # fmt: skip
NAMES = ("reward_mean", "reward_std", "kl", "grad_norm", "diversity")


def lines(rows: Sequence[tuple[float, ...]]) -> list[dict[str, Any]]:
    return [
        {"kind": "epoch", "epoch": number, "samples": 64 * number, **dict(zip(NAMES, row, strict=True))}
        for number, row in enumerate(rows, 1)
    ]


def curve(count: int = 12, **figures: Any) -> list[dict[str, Any]]:
    """A run by functions of the share of it that is done; what is not given is as in a healthy one."""
    healthy: dict[str, Any] = {
        "reward_mean": lambda share: 5 + share, "reward_std": lambda share: 1.0, "kl": lambda share: 1e-3 * share,
        "grad_norm": lambda share: 0.01, "diversity": lambda share: 1 - 0.1 * share,
    }  # fmt: skip
    functions = {**healthy, **figures}
    return lines([tuple(functions[name](number / (count - 1)) for name in NAMES) for number in range(count)])


def diagnose(epochs: Sequence[dict[str, Any]], **more: Any) -> Diagnosis:
    return diagnosis.diagnose([read_epoch(line) for line in epochs], **more)


def verdict(epochs: list[dict[str, Any]]) -> Verdict:
    found: Diagnosis = diagnose(epochs)
    assert found.title and found.sentence.endswith(".") and "\n" not in found.sentence
    return found.verdict


def test_a_measured_run_is_healthy_until_it_pays_with_variety() -> None:
    verdicts = [verdict(lines(LEARNS[:count])) for count in range(1, len(LEARNS) + 1)]
    assert set(verdicts[:5]) <= {"waiting", "healthy"} and verdicts[0] == "waiting"
    assert set(verdicts[5:13]) == {"healthy"}  # then it loses 1% and more of its variety with every epoch
    assert set(verdicts[16:]) == {"hacking"}
    assert "64%" in diagnose(lines(LEARNS)).sentence or "65%" in diagnose(lines(LEARNS)).sentence


def test_a_measured_run_that_learns_nothing_is_flat() -> None:
    verdicts = [verdict(lines(STAYS[:count])) for count in range(1, len(STAYS) + 1)]
    assert set(verdicts[:7]) == {"waiting"} and set(verdicts[7:]) == {"flat"}
    assert "learning_rate" in diagnose(lines(STAYS)).sentence


def test_a_measured_run_that_diverges_is_told_after_four_epochs() -> None:
    verdicts = [verdict(lines(DIVERGES[:count])) for count in range(1, len(DIVERGES) + 1)]
    assert verdicts == ["waiting", "waiting", "waiting", "divergence", "divergence"]
    assert "best, that of epoch 1;" in diagnose(lines(DIVERGES)).sentence


@pytest.mark.parametrize(
    ("expected", "figures"),
    [
        ("healthy", {}),
        ("healthy", {"reward_std": lambda share: 1 - 0.85 * share}),  # all pictures become good
        ("healthy", {"reward_mean": lambda share: 5 + min(2 * share, 1), "diversity": lambda share: 0.7}),
        ("healthy", {"grad_norm": lambda share: 0.003 + 0.012 * (share > 0.5)}),
        ("hacking", {"diversity": lambda share: 0.43, "reward_mean": lambda share: 5 + min(3 * share, 1)}),  # settled
        ("flat", {"reward_mean": lambda share: 5.1 - 0.1 * share}),
        ("flat", {"reward_mean": lambda share: 5.0, "reward_std": lambda share: 0.0}),
        ("hacking", {"diversity": lambda share: 1 - 0.4 * share}),
        ("hacking", {"kl": lambda share: 0.05 * share}),
        ("collapse", {"diversity": lambda share: 1 - 0.75 * share}),
        ("collapse", {"reward_mean": lambda share: 5.0, "diversity": lambda share: 1 - 0.5 * share}),
        ("collapse", {"reward_std": lambda share: 1.01 - share**0.1, "diversity": lambda share: 1 - 0.4 * share}),
        ("divergence", {"reward_mean": lambda share: 5 + share - 4 * max(share - 0.5, 0)}),
        ("divergence", {"reward_mean": lambda share: 5 - 2 * share}),
        ("divergence", {"reward_mean": lambda share: 5 - 0.7 * min(3 * share, 1)}),
        ("divergence", {"reward_mean": lambda share: 5 + 4.4 * min(2 * share, 1) - 1.7 * max(2 * share - 1, 0)}),
        ("divergence", {"grad_norm": lambda share: 0.01 if share < 0.7 else 0.5}),
        ("divergence", {"kl": lambda share: 1e-3 if share < 0.7 else 0.5}),
    ],
)  # fmt: skip
def test_sick_runs_are_told_from_healthy_ones(expected: str, figures: dict[str, Any]) -> None:
    assert verdict(curve(**figures)) == expected


def test_variety_that_erodes_slowly_is_told_while_most_of_it_is_left() -> None:
    """By .012 an epoch, which no two neighbouring epochs show."""
    epochs = curve(30, reward_mean=lambda share: 5 + min(3 * share, 1), diversity=lambda share: 1 - 0.012 * 29 * share)
    verdicts = [verdict(epochs[:count]) for count in range(8, 31)]
    assert verdicts[0] == "healthy" and verdicts[-1] == "hacking"
    told = verdicts.index("hacking")
    assert epochs[7 + told]["diversity"] > 0.7 and set(verdicts[told:]) == {"hacking"}
    assert "lose 1.2% with every epoch" in diagnose(epochs).sentence


def test_a_reward_that_falls_is_not_told_to_learn_faster() -> None:
    fallen = diagnose(curve(reward_mean=lambda share: 5 - 0.7 * min(3 * share, 1)))
    assert "third of the learning_rate" in fallen.sentence and "higher learning_rate" not in fallen.sentence


def test_the_members_of_a_group_count_as_one() -> None:
    """A rise that is no chance for 64 pictures may be for 8 groups of as many."""
    epochs = curve(10, reward_mean=lambda share: 5 + 0.55 * share)
    grouped = TrainConfig(batch_size=64, window="sliding", group_size=8)
    assert (verdict(epochs), diagnose(epochs, config=grouped).verdict) == ("healthy", "flat")


def test_the_kl_counts_by_the_noise_of_the_steps_that_it_was_measured_at() -> None:
    """At eta 0.5 the same change of the network has four times the KL of a step."""
    far = curve(kl=lambda share: 0.06 * share)
    assert diagnose(far, config=TrainConfig(eta=1.0)).verdict == "hacking"
    assert diagnose(far, config=TrainConfig(eta=0.5)).verdict == "healthy"
    assert diagnose(far, config=TrainConfig(eta=0.5, sampling_steps=80)).verdict == "hacking"


def test_a_kl_that_was_not_measured_is_no_divergence_and_draft_names_its_own_penalty() -> None:
    draft = TrainConfig(algorithm="draft", trained_steps=1)
    unmeasured = curve(kl=lambda share: None)
    assert diagnose(unmeasured, config=draft).verdict == "healthy"
    sick = curve(kl=lambda share: None, diversity=lambda share: 1 - 0.4 * share)
    assert "higher output_penalty" in diagnose(sick, config=draft).sentence


@pytest.mark.parametrize("name", ["reward_mean", "kl", "grad_norm"])
def test_a_figure_that_is_not_finite_is_divergence_at_once(name: str) -> None:
    epochs = curve(12)[:2]
    epochs[-1][name] = None  # as files have it
    assert verdict(epochs) == "divergence" and "learning_rate" in diagnose(epochs).sentence


def test_a_passing_spike_is_no_sickness() -> None:
    epochs = curve(12)
    epochs[7]["grad_norm"], epochs[7]["kl"], epochs[9]["reward_mean"] = None, 1.0, 4.5
    assert verdict(epochs) == "healthy"


def test_the_rise_is_measured_by_the_noise_of_the_samples() -> None:
    few, many = (
        curve(10, reward_mean=lambda share: 5 + 0.5 * share),
        curve(10, reward_mean=lambda share: 5 + 0.5 * share),
    )
    for line in few:
        line["samples"] = line["epoch"] * 4
    assert (verdict(few), verdict(many)) == ("flat", "healthy")


def test_the_scale_is_the_bases_own_where_it_is_known() -> None:
    epochs = curve(10, reward_mean=lambda share: 5 + 0.5 * share)
    assert diagnose(epochs).verdict == "healthy" and diagnose(epochs, base_std=10.0).verdict == "flat"


def test_nothing_done_yet_is_waited_for() -> None:
    assert diagnose([]).verdict == "waiting" and "0 epochs are done" in diagnose([]).sentence


def test_what_to_do_is_said_of_every_sickness() -> None:
    sick = (
        curve(diversity=lambda share: 1 - 0.4 * share), curve(diversity=lambda share: 1 - 0.75 * share),
        curve(reward_mean=lambda share: 5 - 2 * share),
    )  # fmt: skip
    for epochs in sick:
        assert "stop the run" in diagnose(epochs).sentence and "kl_weight" in diagnose(epochs).sentence


@pytest.mark.parametrize(
    "epochs",
    [
        curve(), curve(3), curve(12, reward_mean=lambda share: 5.0), curve(diversity=lambda share: 1 - 0.4 * share),
        curve(diversity=lambda share: 1 - 0.75 * share), curve(reward_mean=lambda share: 5 - 2 * share),
        curve(reward_mean=lambda share: 5.0, reward_std=lambda share: 0.0), curve(kl=lambda share: None),
    ],
)  # fmt: skip
def test_a_finished_run_is_not_told_to_stop_or_to_go_on(epochs: list[dict[str, Any]]) -> None:
    running, finished = diagnose(epochs), diagnose(epochs, finished=True)
    assert (running.verdict, running.title) == (finished.verdict, finished.title)
    assert any(words in running.sentence for words in ("stop", "go on", "give it more"))
    assert not any(words in finished.sentence for words in ("stop", "go on", "give it more"))


def test_pictures_that_repeat_each_other_are_a_collapse_though_their_variance_is_kept() -> None:
    epochs = curve()
    for line in epochs:
        line.update(modes=0.2, modes_noise=0.05, recall=0.0)
    found = diagnose(epochs)
    assert found.verdict == "collapse" and "only 20% as many different pictures" in found.sentence
    for line in epochs:
        line.update(modes=0.4, modes_noise=0.05)  # chance at this number of pictures
    assert diagnose(epochs).verdict == "healthy"

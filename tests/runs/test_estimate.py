"""How long a run takes, before it starts."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ddpo.common import machine
from ddpo.common.machine import hourly_price
from ddpo.diffusion.network import CHURCH_64, DDPM_256, read_network
from ddpo.diffusion.precision import choose_compute
from ddpo.errors import UserError
from ddpo.runs import estimate as estimates
from ddpo.runs.estimate import estimate
from ddpo.runs.store import list_runs
from ddpo.training.config import TrainConfig
from ddpo.training.recipes import make_config
from ddpo.training.work import passes_of_a_picture
from tests.helpers.here import ROOT
from tests.helpers.run_folders import CHURCH, make_run

CONFIG = make_config({}, "quick")
MEASURED = ROOT / "benchmarks" / "results" / "precision.json"


@pytest.fixture(autouse=True)
def without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "has_gpu", lambda: False)


def seconds(**changes: object) -> float:
    found = estimate(make_config(changes, "quick"), read_network(str(CHURCH)), str(CHURCH)).seconds
    assert found is not None
    return found - estimates.START_SECONDS


def test_the_measured_network_is_the_bundled_one() -> None:
    assert read_network(str(CHURCH)) == CHURCH_64


def test_the_figures_are_those_of_the_benchmark() -> None:
    rows = [row for row in json.loads(MEASURED.read_text())["rows"] if row["channels_last"]]
    for precision, networks in estimates.MEASURED_SECONDS.items():
        found = {row["network"]: row for row in rows if row["precision"] == precision}
        for (evaluation, training_pass), network in zip(networks, ("church-64", "church-256"), strict=True):
            assert (evaluation, training_pass) == (found[network]["evaluation"], found[network]["training_pass"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_measured_network_takes_what_was_measured(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    monkeypatch.setenv("DDPO_PRECISION", precision)
    monkeypatch.setattr(estimates, "cores", lambda: estimates.MEASURED_CORES)
    for network, measured in zip((CHURCH_64, DDPM_256), estimates.MEASURED_SECONDS[precision], strict=True):
        assert estimates._seconds_each(network) == pytest.approx(measured)


def test_the_precision_is_the_one_that_the_run_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch's own, private and absent from some
    torch_says = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    assert machine.has_fast_bfloat16() == torch_says == (choose_compute("auto", "cpu").dtype == torch.bfloat16)
    monkeypatch.delenv("DDPO_PRECISION", raising=False)
    monkeypatch.setattr(estimates, "has_fast_bfloat16", lambda: True)
    quick = seconds()
    monkeypatch.setattr(estimates, "has_fast_bfloat16", lambda: False)
    assert seconds() > 1.1 * quick
    monkeypatch.setenv("DDPO_PRECISION", "bfloat16")
    assert seconds() == pytest.approx(quick)


def test_what_is_shared_or_kept_is_counted_once() -> None:
    assert seconds(group_size=4) < 0.9 * seconds(group_size=1)
    once, twice = seconds(inner_epochs=1), seconds(inner_epochs=2)
    assert once < twice < 2 * once
    assert seconds(gradient_checkpointing=True) > seconds()
    alone = {"batch_size": 1, "window": "random", "group_size": 1}
    assert seconds(**alone, accumulation=1) > 0.9 * seconds(**alone | {"batch_size": 2}, accumulation=1)


def test_twice_the_epochs_take_twice_the_time() -> None:
    assert seconds(epochs=20) == pytest.approx(2 * seconds(epochs=10))


def test_more_steps_and_larger_networks_take_longer() -> None:
    assert seconds(sampling_steps=40) > 1.3 * seconds(sampling_steps=20)
    assert seconds(trained_steps=10) > 1.2 * seconds(trained_steps=5)
    assert DDPM_256.work > 100 * read_network(str(CHURCH)).work


def test_an_earlier_run_of_the_same_model_here_is_what_counts(tmp_path: Path) -> None:
    make_run(tmp_path, "finished", 4, epochs=4, host=platform.node())
    found = estimate(make_config({"epochs": 8}, "quick"), read_network(str(CHURCH)), str(CHURCH), list_runs(tmp_path))
    assert found.from_run and found.seconds == pytest.approx(estimates.START_SECONDS + 8 * 10)
    assert not estimate(CONFIG, DDPM_256, "someone/else", list_runs(tmp_path)).from_run


def test_a_run_on_another_machine_says_nothing(tmp_path: Path) -> None:
    make_run(tmp_path, "finished", 4, host="elsewhere")
    assert not estimate(CONFIG, read_network(str(CHURCH)), str(CHURCH), list_runs(tmp_path)).from_run


def test_nothing_is_claimed_of_a_gpu_before_a_run_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "has_gpu", lambda: True)
    found = estimate(CONFIG, DDPM_256, "google/ddpm-church-256")
    assert found.seconds is None and found.pictures == CONFIG.epochs * CONFIG.samples_per_epoch()


def test_what_is_no_model_gets_a_sentence(tmp_path: Path) -> None:
    assert read_network("google/ddpm-church-256") == DDPM_256
    with pytest.raises(UserError, match="There is no folder '/nowhere'"):
        read_network("/nowhere")
    with pytest.raises(UserError, match="holds no diffusion model"):
        read_network(str(tmp_path))
    (tmp_path / "config.json").write_text('{"sample_size": "large"}')
    with pytest.raises(UserError, match="damaged"):
        read_network(str(tmp_path))


@pytest.mark.parametrize(
    ("accelerator", "cores", "price"),
    [
        ("t4-small", "4", 0.40),
        ("a100x8", "96", 20.0),
        ("none", "2", 0.0),
        ("none", "8", 0.03),
        ("quantum-1", "2", None),
    ],
)
def test_the_price_is_told_on_a_space_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, cores: str, price: float | None
) -> None:
    monkeypatch.setenv("ACCELERATOR", accelerator)
    monkeypatch.setenv("CPU_CORES", cores)
    assert hourly_price() is None
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert hourly_price() == price
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert hourly_price() is None


def test_draft_counts_the_steps_that_its_gradient_goes_through() -> None:
    draft = TrainConfig(algorithm="draft", sampling_steps=20, trained_steps=1)
    assert passes_of_a_picture(draft) == (21, 1)  # the base is evaluated beside each
    assert passes_of_a_picture(replace(draft, noisings=2, inner_epochs=2)) == (26, 6)
    assert passes_of_a_picture(replace(draft, trained_steps=5, truncation="random")) == (23, 3)


def test_looks_at_held_out_seeds_are_counted() -> None:
    without = seconds()
    looks = seconds(eval_seeds=64, eval_share=1.0) - without
    assert looks > 0 and seconds(eval_seeds=64, eval_share=1.0, eval_every=2) - without < 0.6 * looks

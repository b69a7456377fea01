"""Model pairs by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddpo import rewards
from ddpo.diffusion.catalogue import PAIRS, bases
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs.pairs import all_pairs, get_pair, run_pairs
from tests.helpers.here import ROOT
from tests.helpers.hub_cache import put_in_cache
from tests.helpers.run_folders import make_run

TASKS = {
    "aesthetic": "laion-v2",
    "compressibility": "jpeg-compressibility",
    "incompressibility": "jpeg-incompressibility",
    "over50": "over50",
}


@pytest.mark.parametrize("family", ["church-256", "celebahq-256"])
@pytest.mark.parametrize("task", TASKS)
def test_the_published_pairs_are_there(family: str, task: str) -> None:
    if (family, task) == ("church-256", "over50"):
        assert f"{family}-{task}" not in PAIRS
        return
    pair = get_pair(f"{family}-{task}")
    assert (pair.base, pair.tuned) == (f"google/ddpm-{family}", f"alkzar90/ddpo-{task}-{family}")
    assert (pair.reward, pair.sample_size) == (TASKS[task], 256)


def test_every_pair_says_what_it_takes_and_was_trained_on() -> None:
    assert len(PAIRS) == 8 and next(iter(PAIRS)) == "church-64"
    for name, pair in PAIRS.items():
        assert pair.name == name and pair.reward in rewards.REWARDS and pair.description.endswith(".")
        assert pair.cost is not None and pair.cost.memory_megabytes > 0 and pair.cost.seconds_per_image > 0
        assert "measured" in pair.cost.source and (pair.cost.download_megabytes > 0) == (name != "church-64")
        assert pair.cost.download_megabytes == 0 or "estimate" in pair.cost.source


def test_the_cost_of_the_bundled_pair_is_what_the_newest_benchmark_measured() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "app.json").read_text(encoding="utf-8"))
    (longest,) = [c for c in results["comparisons"] if (c["scheduler"], c["samples"]) == ("ddim", 16)]
    cost = PAIRS["church-64"].cost
    assert cost is not None and cost.memory_megabytes == pytest.approx(results["peak_memory_mb"], rel=0.05)
    assert cost.seconds_per_image == pytest.approx(longest["seconds"] / 32, rel=0.05)
    assert ("bfloat16" in cost.source) == ("bfloat16" in longest["compute"])


def test_what_is_not_on_this_machine_is_known_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    pair = get_pair("church-256-aesthetic")
    assert get_pair("church-64").missing == [] and pair.missing == [pair.base, pair.tuned]
    put_in_cache(tmp_path, pair.base, "config.json")
    assert pair.missing == [pair.base, pair.tuned]  # a configuration is no model
    put_in_cache(tmp_path, pair.base, "diffusion_pytorch_model.bin")
    put_in_cache(tmp_path, pair.tuned, "unet/config.json")
    put_in_cache(tmp_path, pair.tuned, "unet/diffusion_pytorch_model.safetensors")
    assert pair.missing == []


def test_a_family_alone_is_its_aesthetic_pair() -> None:
    assert get_pair("church-256") is PAIRS["church-256-aesthetic"]
    assert get_pair("celebahq-256") is PAIRS["celebahq-256-aesthetic"]


def test_each_base_can_be_finetuned_once() -> None:
    assert bases() == {
        "church-64 (bundled)": "church-64",
        "google/ddpm-church-256": "church-256-aesthetic",
        "google/ddpm-celebahq-256": "celebahq-256-aesthetic",
    }


def test_a_name_for_everybody_does_not_tell_where_a_model_lies(tiny_folder: Path) -> None:
    assert ids.short_name(str(tiny_folder)) == tiny_folder.name
    assert ids.short_name("google/ddpm-church-256") == "google/ddpm-church-256"
    assert ids.short_name("/nowhere/secret/model") == "model"


def test_a_run_with_a_result_is_a_pair(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    assert run_pairs() == [] and all_pairs() == list(PAIRS.values())
    run = make_run(tmp_path, "finished", 2, base=tiny_folder, result=tiny_folder)
    without = make_run(tmp_path, "stopped", 1)
    (pair,) = run_pairs()
    assert pair == get_pair(f"run:{run.id}")
    assert (pair.base, pair.tuned, pair.sample_size) == (str(tiny_folder), str(run.result), 16)
    with pytest.raises(UserError, match="no result yet"):
        get_pair(f"run:{without.id}")


@pytest.mark.parametrize("name", ["run:", "run:nothing", "run:../../etc", "run:a/b"])
def test_a_run_that_is_not_there_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    with pytest.raises(UserError, match="There is no run"):
        get_pair(name)

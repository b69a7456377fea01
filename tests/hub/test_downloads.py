"""Downloads: what breaks is resumed, killed or told of, and nothing that is half there is taken for a model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ddpo import rewards
from ddpo.comparison.compare import compare
from ddpo.comparison.events import Progress
from ddpo.comparison.loading import download
from ddpo.comparison.settings import ComparisonSettings
from ddpo.diffusion.models import ModelCache, load_model
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.rewards import weights
from tests.helpers.here import ROOT
from tests.helpers.hub_server import HubServer, use
from tests.helpers.loading import TINY, assert_refused, cache
from tests.helpers.models import (
    SAFETENSORS,
    same_weights,
)


def test_a_transfer_that_breaks_is_resumed_where_it_broke(
    hub: HubServer, tiny_folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.break_after = [50_500, 60_000]
    told: list[tuple[int, int]] = []
    model = load_model(TINY, compute, lambda done, total: told.append((done, total)))
    assert same_weights(model.unet, load_model(str(tiny_folder), compute).unet)
    ranges = [request.headers.get("range") for request in hub.asked_for("/cdn/")]
    assert ranges == [None, "bytes=50000-", "bytes=110000-"]
    size = (tiny_folder / "unet" / SAFETENSORS).stat().st_size
    assert told == sorted(told) and told[-1] == (size, size) and {total for _, total in told} == {size}


def test_a_comparison_tells_of_the_download_and_then_goes_on(
    hub: HubServer, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.hang_after = 50_000
    stages = []
    settings = ComparisonSettings(base=TINY, tuned=str(tiny_folder), steps=2, samples=1)
    for event in compare(settings):
        if isinstance(event, Progress) and event.stage.startswith("Downloading"):
            hub.hang_after = None
            hub.let_go.set()  # the transfer breaks, and is resumed
        stages.append(event.stage if isinstance(event, Progress) else "result")
    assert any(stage.startswith(f"Downloading {TINY}: 0 of 0 MB") for stage in stages) and stages[-1] == "result"


def test_a_comparison_s_files_can_be_had_beforehand_and_the_scorer_s_are_told_of(
    hub: HubServer, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = weights.WeightsFile("someone/scorer", "unet/" + SAFETENSORS, 1.0)
    spec = replace(rewards.REWARDS["laion-v2"], files=(scorer,), packages=())
    monkeypatch.setitem(rewards.REWARDS, "laion-v2", spec)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.add(scorer.repo, tiny_folder)
    hub.hang_after = 50_000
    told = []
    for progress in download(ComparisonSettings(base=str(tiny_folder), tuned=str(tiny_folder), scorer="laion-v2")):
        hub.hang_after = None
        hub.let_go.set()
        told.append(progress.stage)
    assert told and all(stage.startswith(f"Downloading {scorer.filename}: ") for stage in told)
    assert weights.cached(scorer) is not None
    rest = [progress.stage for progress in download(ComparisonSettings(base=TINY, tuned=TINY, scorer="laion-v2"))]
    assert not any(scorer.filename in stage for stage in rest)
    assert (cache() / "models--google--ddpm-tiny").is_dir()


def test_a_download_that_breaks_for_good_leaves_nothing_behind_that_is_taken_for_the_model(
    hub: HubServer, tiny_folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.break_after = [0] * 6
    assert_refused(TINY, "broke off; try again", compute)
    assert not list(cache().rglob("*.incomplete")) and not list(cache().rglob(SAFETENSORS))
    assert same_weights(load_model(TINY, compute).unet, load_model(str(tiny_folder), compute).unet)


def test_a_killed_download_leaves_the_cache_whole(hub: HubServer, tiny_folder: Path, compute: Compute) -> None:
    """In a process of its own, which also shows that the environment of a user has the effect that `use` has here."""
    code = (
        "import sys; from ddpo.hub import downloads, ids; "
        "downloads.download(ids.parse(sys.argv[1]), lambda folder: 1 << 40)"
    )
    variables = {
        "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache()), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    hub.hang_after = 50_000
    process = subprocess.Popen([sys.executable, "-c", code, TINY], cwd=ROOT, env={**os.environ, **variables})
    try:
        assert hub.hanging.wait(60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    hub.let_go.set()
    hub.hang_after = None
    assert not list(cache().rglob(SAFETENSORS)) and list(cache().rglob("config.json"))
    assert same_weights(load_model(TINY, compute).unet, load_model(str(tiny_folder), compute).unet)


def test_a_full_disk_is_told_in_a_sentence(
    hub: HubServer, compute: Compute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.helpers.small_disk import small_disk

    with small_disk(tmp_path / "disk", "128k") as disk:
        use(hub, disk / "cache", monkeypatch)
        with pytest.raises(UserError, match=r"because the disk that holds .* is full; make room there"):
            load_model(TINY, compute)


def test_a_slow_download_does_not_hold_up_other_models(hub: HubServer, tiny_folder: Path, compute: Compute) -> None:
    models = ModelCache()
    slow, quick = (threading.Thread(target=models.get, args=(source, compute)) for source in (TINY, str(tiny_folder)))
    hub.hang_after = 1000
    slow.start()
    try:
        assert hub.hanging.wait(20)
        quick.start()
        quick.join(20)
        assert not quick.is_alive() and slow.is_alive()
    finally:
        hub.hang_after = None
        hub.let_go.set()
        slow.join(20)
    assert same_weights(models.get(TINY, compute).unet, models.get(str(tiny_folder), compute).unet)

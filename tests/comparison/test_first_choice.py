"""The pair that a visitor finds chosen, and how long that takes to decide."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddpo.comparison import first_choice
from ddpo.comparison.settings import ComparisonSettings, resolve
from ddpo.diffusion.catalogue import PAIRS
from ddpo.hub import client
from ddpo.rewards import weights
from ddpo.runs.pairs import OWN
from tests.helpers.hub_cache import put_in_cache
from tests.helpers.hub_server import HubServer, serving, use

LARGE, SMALL = PAIRS["church-256-aesthetic"], PAIRS["church-64"]


@pytest.fixture
def server(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub with both models of church-256, an empty cache, and a GPU."""
    monkeypatch.setattr(first_choice, "has_gpu", lambda: True)
    with serving() as server:
        for source in (LARGE.base, LARGE.tuned):
            server.add(source, tiny_folder)
        use(server, tmp_path, monkeypatch)
        yield server


def choose() -> tuple[str, str]:
    """The choice made anew, within the time that a page may wait for it."""
    started = time.monotonic()
    choice = first_choice.choose.__wrapped__()
    assert time.monotonic() - started < 2.5
    assert choice.reason.endswith(".") and "\n" not in choice.reason
    return choice.pair, choice.reason


def test_with_a_gpu_and_a_hub_that_answers_it_is_the_large_pair(server: HubServer) -> None:
    pair, reason = choose()
    assert pair == LARGE.name and "there is a GPU" in reason and f"{LARGE.base} and {LARGE.tuned} to down" in reason


def test_without_a_gpu_it_is_the_bundled_pair_and_nobody_is_asked(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_choice, "has_gpu", lambda: False)
    pair, reason = choose()
    assert pair == SMALL.name and "no GPU" in reason and server.requests == []
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")  # where the GPU comes later
    assert choose()[0] == LARGE.name


def test_with_the_weights_in_the_cache_nobody_is_asked(server: HubServer, tmp_path: Path) -> None:
    for source in (LARGE.base, LARGE.tuned):
        for file in ("config.json", "diffusion_pytorch_model.safetensors"):
            put_in_cache(tmp_path, source, file)
    pair, reason = choose()
    assert pair == LARGE.name and "in the cache" in reason and server.requests == []


def test_a_hub_that_is_down_silent_or_without_the_model_leaves_the_bundled_pair(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 503
    assert choose()[0] == SMALL.name
    server.status, server.silent = None, True
    pair, reason = choose()
    assert pair == SMALL.name and f"{LARGE.base} and {LARGE.tuned} for church-256 are not in the cache" in reason
    use("http://127.0.0.1:9", tmp_path, monkeypatch)
    assert choose()[0] == SMALL.name


def test_offline_nobody_is_asked(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(server, tmp_path, monkeypatch, offline=True)
    assert choose()[0] == SMALL.name and server.requests == []


def test_a_name_that_takes_long_to_look_up_is_not_waited_for(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*arguments: object, **options: object) -> None:
        time.sleep(4)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    assert choose()[0] == SMALL.name


def test_it_is_what_a_comparison_takes_without_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(ComparisonSettings()).pair.name == SMALL.name
    monkeypatch.setattr(first_choice, "choose", lambda: first_choice.Choice(LARGE.name, "."))
    assert resolve(ComparisonSettings(scorer="colourfulness")).pair.name == LARGE.name


def test_the_hub_is_asked_for_a_moment_only() -> None:
    assert client.SECONDS_TO_PROBE <= 1


def test_a_pair_is_scored_by_what_it_was_finetuned_on_where_that_is_at_hand(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path
) -> None:
    def scorer(pair: str) -> str:
        first_choice._answers.cache_clear()
        return first_choice.scorer(pair)

    assert scorer(SMALL.name) == "photographic"
    assert scorer("church-256-compressibility") == "jpeg-compressibility"
    assert scorer(LARGE.name) == scorer(OWN) == "photographic"  # the Hub does not have its weights
    assert scorer("run:gone") == "photographic"
    for file in weights.CLIP_L_14, weights.LAION_V2:
        server.add(file.repo, tiny_folder)
    assert scorer(LARGE.name) == scorer(OWN) == "laion-v2"
    assert resolve(ComparisonSettings(pair=LARGE.name)).scorer.name == "laion-v2"
    assert resolve(ComparisonSettings(pair=LARGE.name, scorer="colourfulness")).scorer.name == "colourfulness"
    monkeypatch.setattr(first_choice, "has_gpu", lambda: False)
    assert scorer(LARGE.name) == "photographic"
    for file in weights.CLIP_L_14, weights.LAION_V2:
        put_in_cache(tmp_path, file.repo, file.filename, str(file.revision))
    assert scorer(LARGE.name) == "laion-v2"

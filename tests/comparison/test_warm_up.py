"""The warm-up: once, only where it may, and never in the way of the comparison that is asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ddpo.comparison import loading, warm_up
from ddpo.comparison.settings import ComparisonSettings


@pytest.fixture(autouse=True)
def not_yet_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "once", threading.Lock())
    monkeypatch.setattr(warm_up, "DELAY", 0.0)
    monkeypatch.setenv("DDPO_PRECISION", "float32")


def warmed(caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level("INFO", "ddpo"):
        thread = warm_up.begin()
        assert thread is not None
        thread.join(60)
    return caplog.text


def test_it_draws_the_pair_that_the_page_opens_with(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ddpo.diffusion import models

    cache = models.ModelCache()
    monkeypatch.setattr(models, "cache", cache)
    assert "Warmed up in" in warmed(caplog)
    assert sorted(source.rpartition("/")[2] for source, _, _ in cache._models) == ["base", "tuned"]


def test_it_happens_once_a_process(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "compare_once", lambda: None)
    warmed(caplog)
    assert warm_up.begin() is None


def test_it_is_left_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_WARM_UP", "0")
    assert warm_up.begin() is None


def test_it_is_left_out_on_zero_gpu_and_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "free_memory", lambda: 1_900_000_000)
    assert warm_up.begin() is None and "1.9 GB" in str(warm_up.obstacle())
    monkeypatch.setattr(warm_up, "free_memory", lambda: None)
    assert warm_up.obstacle() is None
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert warm_up.begin() is None


def test_with_a_gpu_it_only_imports(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("the GPU was used")

    monkeypatch.setattr(warm_up, "has_gpu", lambda: True)
    monkeypatch.setattr(warm_up, "compare_once", fail)
    assert "Warmed up in" in warmed(caplog)


def test_a_warm_up_that_fails_is_no_trouble(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(warm_up, "compare_once", fail)
    assert "The warm-up failed" in warmed(caplog)


def test_nothing_is_downloaded_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(settings: object) -> Iterator[object]:
        raise AssertionError("models were loaded")

    monkeypatch.setattr(warm_up, "compare", compare)
    with pytest.raises(AssertionError):
        warm_up.compare_once()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(warm_up, "ComparisonSettings", lambda steps: ComparisonSettings("church-256", steps=1))
    warm_up.compare_once()


def test_two_threads_import_one_after_the_other() -> None:
    with loading._importing:
        other = threading.Thread(target=loading.import_engine)
        other.start()
        other.join(0.2)
        assert other.is_alive()
    other.join(60)
    assert not other.is_alive()

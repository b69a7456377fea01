"""A real Chromium on the real app."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.browsing import QUIET, chromium, headless_shell
from tests.helpers.here import ROOT
from tests.helpers.serving import RunningApp, running_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots go; the folder is not part of the repository."""
    folder = ROOT / "test-output"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """For a file each, as no test after it could run an event loop of its own while this one is there."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # as for all other waiting; a busy machine is slow
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium's engine without windows where it is installed: our page opens in half of the time."""
    with _launched(playwright, headless_shell() or chromium()) as started:
        yield started


@pytest.fixture(scope="module")
def private_browser(playwright: Playwright) -> Iterator[Browser]:
    """All of Chromium, whose private windows block cookies and storage of third parties."""
    with _launched(playwright, chromium()) as started:
        yield started


@contextmanager
def _launched(playwright: Playwright, executable: str | None) -> Iterator[Browser]:
    if executable is None:
        if "CI" in os.environ:
            pytest.fail("Chromium is not installed, and CI must not skip the browser tests.")
        pytest.skip("Chromium is not installed (apt-get install chromium).")
    started = playwright.chromium.launch(executable_path=executable, args=list(QUIET))
    yield started
    started.close()


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("app") / "log.txt", DDPO_WARM_UP="1") as serving:
        yield serving

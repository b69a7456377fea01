"""Shared set-up: tiny real models, made once a run."""

from __future__ import annotations

import os
import shutil

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # which would have every process compile all of ddpo anew
if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is loaded; threads of two processes would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from ddpo.diffusion.models import DiffusionModel, load_model, save_model
from ddpo.diffusion.precision import Compute, choose_compute
from tests.helpers.models import make_unet
from tests.helpers.serving import RunningApp, running_app

TESTS = Path(__file__).parent

# `--hypothesis-profile=long` looks ten times as far. The same examples each time, so that a finding can be found again.
_CALM = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
hypothesis_settings.register_profile("default", max_examples=40, derandomize=True, **_CALM)  # type: ignore[arg-type]
hypothesis_settings.register_profile("long", max_examples=400, **_CALM)  # type: ignore[arg-type]
hypothesis_settings.load_profile("default")

if TYPE_CHECKING:
    from gradio_client import Client

# What `make check` leaves out, by the name of the file; everything in tests/browser is left out too.
SLOW = frozenset(
    {
        "test_agents", "test_any_call", "test_any_file", "test_app", "test_author_settings", "test_cells",
        "test_church256", "test_commands", "test_company", "test_compiled", "test_doors", "test_downloads",
        "test_draft_run", "test_evaluate", "test_example", "test_false_alarms", "test_fidelity", "test_follow",
        "test_followed_job", "test_full_disk", "test_growth", "test_held_out", "test_held_out_run",
        "test_hostile_models", "test_hostile_pictures", "test_hub", "test_hub_app", "test_jobs", "test_judge",
        "test_killed_in_buckets", "test_laion", "test_many_cells", "test_mcp", "test_old_run", "test_package",
        "test_pair", "test_pretraining", "test_preview", "test_publish",
        "test_result_files", "test_rwr", "test_same_twice", "test_slices", "test_storage", "test_strangers",
        "test_threads", "test_torchvision_guard", "test_train_tab", "test_trainer", "test_turns", "test_verdict",
        "test_version_script", "test_weights", "test_worker", "test_zero_gpu",
    }
)  # fmt: skip
BROWSER = "browser"  # the folder, and its marker
MEMORY, ROOM = Path("/dev/shm"), 4 << 30  # bytes


def pytest_configure() -> None:
    """Keep the folders of tests in memory where it has room: what is written is synced thousands of times."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as `slow` or `browser` by the file that they stand in, and put the files in order.

    A browser test that fails is run once more, and the summary names it: on a busy machine a test's hands may be
    quicker than the page. What is broken fails twice.
    """
    for item in items:
        if BROWSER in item.path.relative_to(TESTS).parts:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.flaky(reruns=1))
        elif item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=_turn(items))


def _turn(items: list[pytest.Item]) -> Callable[[pytest.Item], tuple[int, int]]:
    """The place of a test's file: those of browsers, which wait, and slow ones, which compute, in turns; the rest last.

    So two workers seldom wait at once, and neither has a long file left when the other is done.
    """
    markers = {item.path: {marker.name for marker in item.iter_markers()} for item in items}
    places = {path: (len(items), 0) for path in markers}
    for kind in (BROWSER, "slow"):
        for number, path in enumerate(path for path, its in markers.items() if kind in its):
            places[path] = (number, int(kind == "slow"))
    return lambda item: places[item.path]


@pytest.fixture(scope="session")
def compute() -> Compute:
    """float32 on the CPU: what numbers are compared in."""
    return choose_compute("float32", "cpu")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model in diffusers layout."""
    folder = tmp_path_factory.mktemp("tiny")
    save_model(make_unet(), dict(DDPMScheduler(prediction_type="v_prediction").config), folder, torch.float32)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path, compute: Compute) -> DiffusionModel:
    return load_model(str(tiny_folder), compute)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("app") / "log.txt") as serving:
        yield serving


@pytest.fixture(scope="module")
def client(app: RunningApp, tmp_path_factory: pytest.TempPathFactory) -> Client:
    from gradio_client import Client  # takes seconds, and most tests do without

    return Client(app.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))

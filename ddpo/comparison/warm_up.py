"""The first comparison as quick as the second: what only the first one would wait for is done beforehand.

That is the import of torch and diffusers, both models of the pair that the page opens with, and the kernels that are
made when a network is first evaluated.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace

from ddpo.common.machine import free_memory, has_gpu, on_zero_gpu
from ddpo.comparison.compare import compare
from ddpo.comparison.loading import import_engine
from ddpo.comparison.settings import ComparisonSettings, resolve

logger = logging.getLogger("ddpo.comparison")

DELAY = 1.0  # seconds, in which the page fetches its files; imports would hold their answers up
# Bytes that have to be free. Assumed: twice what the app holds after a comparison of church-64, and the run that may
# start beside it (benchmarks/results/app.json has 0.7 GB).
MEMORY = 2_000_000_000
once = threading.Lock()  # taken by the first who asks, and never released


def begin() -> threading.Thread | None:
    """Warm up in a thread of its own, once a process. Returns it; None where that has been done or must not be."""
    if obstacle() is not None or not once.acquire(blocking=False):
        return None
    thread = threading.Thread(target=_warm_up, name="warm-up", daemon=True)
    thread.start()
    return thread


def obstacle() -> str | None:
    """Why nothing may be done beforehand here; None where it may."""
    if os.environ.get("DDPO_WARM_UP") == "0":
        return "DDPO_WARM_UP is 0"
    if on_zero_gpu():
        return "a GPU is borrowed for the comparison alone"
    free = free_memory()
    if free is not None and free < MEMORY:
        return f"only {free / 1e9:.1f} GB of memory are free"
    return None


def _warm_up() -> None:
    time.sleep(DELAY)
    started = time.monotonic()
    try:
        import_engine()
        if not has_gpu():  # a page that is merely open should hold nothing of a GPU on which others train
            compare_once()
    except Exception:  # the comparison that is asked for says what is wrong
        logger.warning("The warm-up failed", exc_info=True)
    else:
        logger.info("Warmed up in %.1f s", time.monotonic() - started)


def compare_once() -> None:
    """One step of the comparison that the page offers. Nothing is downloaded for it."""
    settings = ComparisonSettings(steps=1)
    comparison = resolve(settings)
    if comparison.pair.missing or comparison.scorer.download_megabytes:
        return
    for _ in compare(replace(settings, scorer=comparison.scorer.name)):
        pass

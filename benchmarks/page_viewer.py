"""Somebody who has the Train tab open: the page's own event, asked for as often as the page does."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import httpx

from ddpo.ui.train.tab import INTERVAL
from tests.helpers.knocking import LIMITS

SECONDS = 60.0  # that an answer may take


class Viewer:
    """A page that looks at a run: when it is told to, and within a block again and again.

    Args:
        url: of the app.
        client: what sends the requests; None: one of its own.

    Attributes:
        looks: so many so far.
        failures: what was wrong with those that were not answered with what a page shows.
    """

    def __init__(self, url: str, client: httpx.Client | None = None) -> None:
        self.client = client or httpx.Client(base_url=url, timeout=SECONDS, limits=LIMITS)
        self.looks = 0
        self.failures: list[str] = []
        self._milliseconds: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.open()

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.client.close()

    def open(self) -> None:
        """Open the page, or load it anew: the app knows nothing of what this one has seen."""
        config = self.client.get("/config").json()
        timers = {one["id"] for one in config["components"] if one["type"] == "timer"}
        names = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
        event = next(
            found
            for found in config["dependencies"]
            if any(id in timers and on == "tick" for id, on in found["targets"])
            and "epoch-slider" in [names.get(id) for id in found["inputs"]]
        )
        self._slider_in = [names.get(id) for id in event["inputs"]].index("epoch-slider")
        self._slider_out = [names.get(id) for id in event["outputs"]].index("epoch-slider")
        self._body: dict[str, Any] = {
            "data": [None] * len(event["inputs"]), "fn_index": event["id"], "session_hash": uuid.uuid4().hex,
        }  # fmt: skip
        self._body["data"][self._slider_in] = 0

    def take_milliseconds(self) -> list[float]:
        """How long the looks took since this was asked last."""
        taken, self._milliseconds = self._milliseconds, []
        return taken

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            begun = time.perf_counter()
            try:
                self.look()
            except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            self.looks += 1
            self._milliseconds.append(round(1000 * (time.perf_counter() - begun), 1))

    def look(self) -> None:
        """Look once; raises ValueError where the answer is not what the page shows, and httpx's own errors."""
        answer = self.client.post("/gradio_api/run/predict", json=self._body)
        if answer.status_code != 200:
            raise ValueError(f"HTTP {answer.status_code}: {answer.text[:300]}")
        slider = answer.json()["data"][self._slider_out]
        if isinstance(slider, dict) and "value" in slider:  # the page's slider follows the run
            self._body["data"][self._slider_in] = slider["value"]

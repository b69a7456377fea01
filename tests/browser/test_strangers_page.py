"""The page for somebody who reaches it from another machine, and for somebody who finds the queue full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.helpers.knocking import Knocker, network_address
from tests.helpers.serving import RunningApp, running_app

LONG = {"pair": "church-64", "samples": 1, "scheduler": "ddpm", "steps": 1000}


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app that every machine can reach, in whose queue one job may wait."""
    variables = {"GRADIO_SERVER_NAME": "0.0.0.0", "DDPO_QUEUE": "1"}
    with running_app(tmp_path_factory.mktemp("strangers") / "log.txt", **variables) as serving:
        yield serving


@pytest.mark.parametrize(("name", "width", "theme"), [("wide", 1440, "light"), ("phone", 390, "dark")])
def test_a_stranger_is_told_that_training_is_for_the_machine_itself(
    browser: Browser, public: RunningApp, shots: Path, name: str, width: int, theme: str
) -> None:
    address = network_address()
    if address is None:
        pytest.skip("this machine has no address but its loopback one")
    page = browser.new_page(viewport={"width": width, "height": 844})
    try:
        for url, told in ((public.url.replace("127.0.0.1", address), True), (public.url, False)):
            page.goto(f"{url}/?tab=train&__theme={theme}")
            page.wait_for_selector("#start-button")
            if told:
                page.get_by_text("Finetuning works only at the machine that runs this app").wait_for()
                page.screenshot(path=shots / f"stranger-{name}-{theme}.png")
            else:
                page.wait_for_selector("#train-estimate p")
                expect(page.locator("#train-elsewhere")).to_have_count(0)
    finally:
        page.close()


@pytest.mark.parametrize(("name", "width", "theme"), [("wide", 1440, "dark"), ("phone", 390, "light")])
def test_a_full_queue_is_told_and_the_buttons_come_back(
    browser: Browser, public: RunningApp, shots: Path, name: str, width: int, theme: str
) -> None:
    who = Knocker(public)
    for _ in range(3):  # one computes, one waits
        who.client.post("/gradio_api/call/v2/compare", json=LONG)
    page = browser.new_page(viewport={"width": width, "height": 844})
    try:
        page.goto(f"{public.url}/?__theme={theme}")
        page.wait_for_selector("#compare-button")
        page.click("#compare-button")
        page.locator(".card").get_by_text("Too many comparisons wait already").wait_for()  # it is said aloud as well
        page.screenshot(path=shots / f"queue-full-{name}-{theme}.png")
        expect(page.locator("#compare-button")).to_have_text("Compare", use_inner_text=True)
        expect(page.locator("#compare-button")).to_be_enabled()
        expect(page.locator("#cancel-button")).to_be_hidden()
    finally:
        page.close()

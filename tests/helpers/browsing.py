"""What tests in a browser share: Chromium's options, sizes of screens, and hands on the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page


QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str | None:
    """Where the system's Chromium is."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def headless_shell() -> str | None:
    """Where the same engine without windows is, if a browser is not named."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell")


WIDE, PHONE = (1440, 900), (390, 844)

SLOW = 240_000  # milliseconds; a process that trains starts with importing torch, and the machine may be busy

DRAWN = ".summary:not(:has(.saved))"  # a result that was not there when the page opened

TINY = {
    "batches_per_epoch": 1, "batch_size": 2, "accumulation": 1, "group_size": 1, "sampling_steps": 4, "window_first": 0,
}  # fmt: skip


@contextmanager
def without_errors(browser: Browser) -> Iterator[Callable[..., Page]]:
    """What opens an address in a page of its own, in a size; in the end no page may have logged an error."""
    pages: list[Page] = []
    troubles: list[str] = []

    def open_(address: str, size: tuple[int, int] = WIDE, **options: Any) -> Page:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **options)
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        pages.append(page)
        page.goto(address)
        return page

    yield open_
    for page in pages:
        page.close()
    assert not troubles


def settled(page: Page | Frame) -> None:
    """Waits until the fields are as the address has them."""
    page.evaluate("studio.settled()")


def show_tab(page: Page) -> None:
    page.wait_for_selector("#compare-button")
    page.get_by_role("tab", name="Train").click()
    page.wait_for_selector("#start-button")
    page.wait_for_selector(".estimate")


def close_larger(page: Page) -> None:
    """Closes the larger view of a seed, and waits until its picture has the focus again."""
    page.keyboard.press("Escape")
    page.wait_for_selector("#larger", state="detached")
    page.wait_for_function("document.activeElement.dataset.index !== undefined")


def set_number(page: Page, control: str, value: object) -> None:
    field = page.locator(f"{control} input[type=number]")
    field.fill(str(value))
    field.press("Tab")


def wait_for_state(page: Page, state: str) -> None:
    page.wait_for_selector(f".run-status.{state}", timeout=SLOW)


def wait_for_epoch(page: Page, epoch: int) -> int:
    """Waits until so many epochs are done, and returns how many are."""
    done = "Number(document.querySelector('.run-status p')?.innerText.match(/epoch (\\d+) of/)?.[1] ?? 0)"
    page.wait_for_function(f"{done} >= {epoch}", timeout=SLOW)
    return int(page.evaluate(done))


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

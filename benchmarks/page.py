"""How soon a visitor sees something, and what the page weighs: a fresh Chromium on the app, on this machine.

    python -m benchmarks.page --visits 5

Each visit is of a browser without a past. The clock starts with the first request. Writes benchmarks/results/page.json.
The exit code is 1 where a limit is exceeded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright

from benchmarks.app import start_app
from benchmarks.machine import describe_machine
from tests.helpers.browsing import QUIET, WIDE, chromium, headless_shell
from tests.helpers.here import ROOT, free_port

RESULTS = ROOT / "benchmarks" / "results" / "page.json"
LIMITS = {"first_paint_seconds": 1.0, "comparison_seconds": 2.0, "kilobytes": 1000.0, "other_hosts": 0}
PICTURES = "[...document.querySelectorAll('#pictures .done img')]"
SEEN = f"{PICTURES}.length >= 16 && {PICTURES}.every((image) => image.naturalWidth) && performance.now() / 1000"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


def visit(browser: Browser, url: str) -> dict[str, float]:
    """Open the page in a browser without a past; seconds until things are seen, what came, and from whom."""
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    page, sizes = context.new_page(), [0.0]
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(url, wait_until="commit")
    seen = page.wait_for_function(SEEN, polling="raf").json_value()
    page.evaluate("studio.settled()")
    page.wait_for_timeout(1500)  # the rest of it; a page never falls silent, as its heart beats
    paint = page.evaluate(PAINT)
    context.close()
    return {
        "first_paint_seconds": round(paint, 2),
        "comparison_seconds": round(seen, 2),
        "kilobytes": round(sum(sizes) / 1000),
        "other_hosts": len(hosts - {"", urlsplit(url).netloc}),
    }


def measure(visits: int) -> dict[str, Any]:
    """The visits, and the middle and the worst of each figure."""
    port = free_port()
    process, _ = start_app(port, {"DDPO_WARM_UP": "0"})
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=headless_shell() or chromium(), args=list(QUIET))
            found = [visit(browser, f"http://127.0.0.1:{port}/") for _ in range(visits)]
            browser.close()
    finally:
        process.kill()
        process.wait()
    figures = {name: [one[name] for one in found] for name in LIMITS}
    summary = {name: {"median": statistics.median(each), "most": max(each)} for name, each in figures.items()}
    return {"machine": describe_machine(), "visits": found, "summary": summary, "limits": LIMITS}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = measure(options.visits)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results["summary"], indent=1))
    return int(any(results["summary"][name]["median"] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())

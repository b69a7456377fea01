"""axe-core, which finds what of a page nobody can use with a keyboard, a screen reader or weak eyes."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

VERSION = "4.14.1"
FOLDER = Path(tempfile.gettempdir()) / f"ddpo-axe-core-{VERSION}"
SCRIPT = FOLDER / "node_modules" / "axe-core" / "axe.min.js"

_FOUND = """
() => axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations
  .filter(({impact}) => impact === 'serious' || impact === 'critical')
  .map(({id, nodes}) => `${id}: ${nodes.map(({html, failureSummary}) =>
    html.slice(0, 160) + ' ' + failureSummary.slice(0, 200)).join(' | ')}`))
"""


@functools.cache
def script() -> str:
    """The text of axe-core, which npm fetches once into a folder for temporary files."""
    if not SCRIPT.exists():
        command = ["npm", "install", "--prefix", str(FOLDER), "--no-audit", "--no-fund", f"axe-core@{VERSION}"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            if "CI" in os.environ:
                pytest.fail(f"npm cannot fetch axe-core, and CI must not skip its tests: {error}")
            pytest.skip("npm cannot fetch axe-core here.")
    return SCRIPT.read_text(encoding="utf-8")


def serious(page: Page) -> list[str]:
    """What is serious or critical of the page as it stands, in the light and in the dark theme."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(script())
        page.add_style_tag(content="* { transition: none !important; animation: none !important }")
    found = []
    for theme in ("light", "dark"):
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
        page.wait_for_timeout(500)  # longer than the page takes to mend what Gradio has put there
        found += [f"{theme}: {violation}" for violation in page.evaluate(_FOUND)]
    return found

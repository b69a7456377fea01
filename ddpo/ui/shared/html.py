"""Pieces of HTML that several tabs are made of."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from ddpo.common.words import moment, signed

if TYPE_CHECKING:
    from PIL.Image import Image

    from ddpo.rewards import RewardSpec


def message(heading: str, text: str) -> str:
    """A card with a sentence, for a run that waits, was cancelled or failed."""
    return f'<div class="card note"><h2>{escape(heading)}</h2><p>{escape(text)}</p></div>'


def empty(heading: str, text: str) -> str:
    """The card of a tab that shows nothing yet.

    Args:
        heading: plain text.
        text: HTML of a paragraph.
    """
    ghosts = "<i></i>" * 4
    return f'<div class="card empty"><div class="ghosts">{ghosts}</div><div><h2>{heading}</h2><p>{text}</p></div></div>'


def bar(label: str, share: float) -> str:
    """How far something is, as a bar.

    Args:
        label: what, for whoever does not see it.
        share: done, 0 to 1.
    """
    shift = (
        f"calc(max(6px, {share:.1%}) - 100%)"  # moved, which costs the page no layout in each frame, as a width would
    )
    return (
        f'<div class="bar" role="progressbar" aria-label="{escape(label)}" aria-valuenow="{share * 100:.0f}" '
        f'aria-valuemin="0" aria-valuemax="100"><div style="transform:translateX({shift})"></div></div>'
    )


def amount(score: float, spec: RewardSpec) -> str:
    """A score with its digits and unit; the size where it is minus that of a file."""
    shown = abs(score) if spec.minus_a_size else score
    return f"{shown:.{spec.decimals}f}" + (f" {spec.unit}" if spec.unit else "")


def difference(value: float, spec: RewardSpec) -> str:
    """A difference of scores, or of sizes, with its sign."""
    return signed(-value if spec.minus_a_size else value, spec.decimals) + (f" {spec.unit}" if spec.unit else "")


def data_uri(image: Image) -> str:
    """A picture inside the page itself, so that previews leave no files behind."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=90)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def when(text: str) -> str:
    """An ISO date as HTML, which the browser puts into its own time zone (see `studio.times`)."""
    return f'<time datetime="{escape(text)}">{escape(moment(text))}</time>'

"""The reward over the epochs as a small picture, for a model card."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 720, 320  # pixels
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 36  # margins
SCALE = 2  # it is drawn so many times larger, and reduced, which smoothes the lines
INK, LINE, BAND = (68, 68, 76), (79, 70, 229), (221, 219, 250)


def draw_curve(epochs: Sequence[dict[str, Any]], title: str) -> bytes | None:
    """The mean reward of every epoch, over a band from the 10% to the 90% quantile, as PNG.

    Args:
        epochs: the "epoch" lines of a run.
        title: what is drawn, such as the name of the reward.

    Returns:
        None where there are fewer than two epochs.
    """
    rows = [
        (line["epoch"], line["reward_mean"], *_band(line)) for line in epochs if line.get("reward_mean") is not None
    ]
    if len(rows) < 2:
        return None
    low, high = min(row[2] for row in rows), max(row[3] for row in rows)
    low, high = (low, high) if high > low else (low - 1, low + 1)
    first, last = rows[0][0], rows[-1][0]

    def point(epoch: float, value: float) -> tuple[float, float]:
        x = LEFT + (epoch - first) / max(last - first, 1) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return x * SCALE, y * SCALE

    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    draw = ImageDraw.Draw(image)
    lower, upper = [point(row[0], row[2]) for row in rows], [point(row[0], row[3]) for row in rows]
    draw.polygon(lower + upper[::-1], fill=BAND)
    draw.line([point(row[0], row[1]) for row in rows], fill=LINE, width=2 * SCALE + 1, joint="curve")
    draw.line([point(first, high), point(first, low), point(last, low)], fill=INK, width=SCALE)
    for value in (low, high):
        x, y = point(first, value)
        draw.text((x - 6 * SCALE, y), f"{value:.4g}", fill=INK, font_size=12 * SCALE, anchor="rm")
    for epoch, anchor in ((first, "la"), (last, "ra")):
        x, y = point(epoch, low)
        draw.text((x, y + 6 * SCALE), f"epoch {epoch}", fill=INK, font_size=12 * SCALE, anchor=anchor)
    draw.text((LEFT * SCALE, 6 * SCALE), title, fill=INK, font_size=14 * SCALE)
    buffer = io.BytesIO()
    image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _band(line: dict[str, Any]) -> tuple[float, float]:
    """The quantiles, which hold the mean, as a mean may lie outside of them."""
    mean = line["reward_mean"]
    quantiles = [value for value in line.get("reward_quantiles") or () if value is not None]
    return min([mean, *quantiles]), max([mean, *quantiles])

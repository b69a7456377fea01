"""The reward over the epochs as a small picture, for a model card."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from ddpo.training.events import EpochMetrics

WIDTH, HEIGHT = 720, 320  # pixels
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 36  # margins
SCALE = 2  # it is drawn so many times larger, and reduced, which smoothes the lines
INK, LINE, BAND = (68, 68, 76), (79, 70, 229), (221, 219, 250)


def draw_curve(epochs: Sequence[EpochMetrics], title: str) -> bytes | None:
    """The mean reward of every epoch, over a band from the 10% to the 90% quantile, as PNG.

    Args:
        epochs: of a run; those whose mean is not finite are left out.
        title: what is drawn, such as the name of the reward.

    Returns:
        None where there are fewer than two epochs.
    """
    finite = [epoch for epoch in epochs if math.isfinite(epoch.reward_mean)]
    rows = [(epoch.epoch, epoch.reward_mean, *_band(epoch)) for epoch in finite]
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


def _band(epoch: EpochMetrics) -> tuple[float, float]:
    """The quantiles, which hold the mean, as a mean may lie outside of them."""
    values = [epoch.reward_mean, *filter(math.isfinite, epoch.reward_quantiles)]
    return min(values), max(values)

"""The grids of fixed seeds for the page: cut into pictures, and set in motion from the base to the result."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ddpo.common import allocator

COLUMNS = 4  # pictures in a row, as the page shows them
KEYFRAMES = 14  # grids in the animation, spread over the run
BLENDS = 3  # frames from one grid to the next
FRAME_MS, HOLD_MS = 90, 1400  # of a frame in between, and of the first and the last
LARGEST_SIDE, MOVING_SIDE, GAP = 256, 128, 3  # pixels of a still picture, of a moving one, and between two
INK, BAR, BAR_DONE = "#10162a", "#2a3354", "#8b7cf8"

Samples = tuple[tuple[int, Path], ...]  # (epoch, grid) in order


def pictures(path: Path) -> tuple[str, ...]:
    """The pictures of a grid as data URIs; raises OSError where it cannot be read."""
    return _pictures(path, path.stat().st_mtime_ns)


def animation(samples: Samples) -> str:
    """The grids from the first to the last as an animated WebP, as a data URI; raises OSError as `pictures` does."""
    return _animation(samples, samples[-1][1].stat().st_mtime_ns)


@lru_cache(maxsize=32)  # grids; a long run has thousands
def _pictures(path: Path, _modified: int) -> tuple[str, ...]:
    return tuple(_uri(_at_most(cell, LARGEST_SIDE), quality=90) for cell in cut(path))


@lru_cache(maxsize=2)
def _animation(samples: Samples, _modified: int) -> str:
    try:
        return _moving(samples)
    finally:
        allocator.give_back()  # else its frames stay: 6 MB with church-64, in each thread that made one


def _moving(samples: Samples) -> str:
    chosen = keyframes(samples)
    grids = [_laid_out(cut(path)) for _, path in chosen]
    frames, durations = [], []
    for index, (epoch, _) in enumerate(chosen):
        frames.append(_labelled(grids[index], epoch, samples[-1][0]))
        durations.append(HOLD_MS if index in (0, len(chosen) - 1) else 3 * FRAME_MS)
        if index + 1 < len(chosen):
            for step in range(1, BLENDS + 1):
                blend = Image.blend(grids[index], grids[index + 1].resize(grids[index].size), step / (BLENDS + 1))
                frames.append(_labelled(blend, epoch, samples[-1][0]))
                durations.append(FRAME_MS)
    return _uri(frames[0], quality=80, save_all=True, append_images=frames[1:], duration=durations, loop=0, method=1)


def keyframes(samples: Samples) -> Samples:
    """At most KEYFRAMES of them, evenly spread, with the first and the last."""
    last = len(samples) - 1
    count = min(KEYFRAMES, len(samples))
    return tuple(samples[round(i * last / max(1, count - 1))] for i in range(count))


def cut(path: Path) -> list[Image.Image]:
    """The square pictures of a grid of one row; the whole grid where it is none."""
    with Image.open(path) as picture:
        grid = picture.convert("RGB")
    side = grid.height
    count = grid.width // side
    gap, rest = divmod(grid.width - count * side, max(1, count - 1))
    if count < 2 or rest:
        return [grid]
    return [grid.crop((i * (side + gap), 0, i * (side + gap) + side, side)) for i in range(count)]


def _laid_out(cells: list[Image.Image]) -> Image.Image:
    """The pictures in rows of COLUMNS."""
    cells = [_at_most(cell, MOVING_SIDE) for cell in cells]
    width, height = cells[0].size
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), INK)
    for index, cell in enumerate(cells):
        sheet.paste(cell, (index % columns * (width + GAP), index // columns * (height + GAP)))
    return sheet


def _at_most(picture: Image.Image, side: int) -> Image.Image:
    if max(picture.size) <= side:
        return picture
    factor = side / max(picture.size)
    size = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _labelled(grid: Image.Image, epoch: int, last: int) -> Image.Image:
    """The grid with its epoch, and a bar that shows how far the run is, below it."""
    size = max(11, grid.width // 24)
    strip = round(1.9 * size)
    frame = Image.new("RGB", (grid.width, grid.height + strip), INK)
    frame.paste(grid, (0, 0))
    draw = ImageDraw.Draw(frame)
    text = "base" if epoch == 0 else f"epoch {epoch}"
    middle, start = grid.height + strip // 2, 6 * size
    draw.text((size // 2, middle), text, font=ImageFont.load_default(size), fill="white", anchor="lm")
    end = grid.width - size // 2
    for right, colour in ((end, BAR), (start + (end - start) * epoch // max(1, last), BAR_DONE)):
        if right > start:
            draw.rectangle((start, middle - 1, right, middle + 1), fill=colour)
    return frame


def _uri(picture: Image.Image, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", **options)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()

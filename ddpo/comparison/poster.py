"""A comparison as one picture to share: the base above the finetuned model, with scores and settings."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.files import base_name, carrying

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

COLUMNS = 8  # pictures in a row; more seeds take another pair of rows
CELL, GAP, MARGIN, LABEL = 152, 10, 28, 24  # pixels: a picture's side, between pictures, around all, a line of text
INK, PAPER, MUTED, BETTER, WORSE = "#f2f4ff", "#10162a", "#a7b0cc", "#5fd6a0", "#ff9c8f"


def poster(result: ComparisonResult) -> Image.Image:
    """The picture, as large as the number of seeds asks for."""
    columns = min(COLUMNS, len(result.seeds))
    blocks = -(-len(result.seeds) // columns)
    width = max(2 * MARGIN + columns * (CELL + GAP) - GAP, 720)
    lines = textwrap.wrap(result.sentence, width=max(40, width // 10))
    head = MARGIN + len(lines) * 28 + LABEL + GAP
    block = 2 * (CELL + LABEL + GAP) + GAP
    sheet = Image.new("RGB", (width, head + blocks * block + LABEL + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + 28 * number), line, INK, _font(20))
    draw.text((MARGIN, MARGIN + 28 * len(lines)), _settings(result), MUTED, _font(14))
    for place in range(len(result.seeds)):
        row, column = divmod(place, columns)
        _draw_seed(sheet, draw, result, place, (MARGIN + column * (CELL + GAP), head + row * block))
    foot = f"DDPO Studio · above: base, below: finetuned · scored by {result.comparison.scorer.name}"
    draw.text((MARGIN, sheet.height - MARGIN - 8), foot, MUTED, _font(14))
    return sheet


def write_poster(result: ComparisonResult, folder: Path) -> Path:
    """Write it as a PNG into a folder and return its path; it carries the settings as every picture does."""
    path = folder / f"{base_name(result)}.png"
    path.write_bytes(carrying(poster(result), {"settings": json.dumps(result.comparison.to_dict())}))
    return path


def _draw_seed(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, result: ComparisonResult, place: int, at: tuple[int, int]
) -> None:
    """The base's picture of a seed, the finetuned model's below it, and their scores."""
    x, y = at
    decimals = result.comparison.scorer.decimals
    base, tuned = result.base_scores[place], result.tuned_scores[place]
    told = (
        (result.base_images[place], f"seed {result.seeds[place]}  {base:.{decimals}f}", MUTED),
        (result.tuned_images[place], f"{tuned:.{decimals}f}  ({tuned - base:+.{decimals}f})", _colour(tuned - base)),
    )
    for number, (image, text, colour) in enumerate(told):
        top = y + number * (CELL + LABEL + GAP)
        sheet.paste(image.convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS), (x, top))
        draw.text((x, top + CELL + 5), text, colour, _font(14))


def _colour(difference: float) -> str:
    return MUTED if difference == 0 else BETTER if difference > 0 else WORSE


def _settings(result: ComparisonResult) -> str:
    asked = result.comparison
    eta = f", eta {asked.eta:g}" if asked.scheduler.takes_eta else ""
    return f"{asked.models} · {asked.scheduler.title}, {asked.steps} steps{eta} · seeds from {result.seeds[0]}"


def _font(size: int) -> FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)

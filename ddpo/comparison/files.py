"""A comparison as files: PNGs that carry their settings and score, a CSV, a JSON, and all of it as one zip."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PIL.PngImagePlugin import PngInfo

from ddpo.comparison.events import ComparisonResult

if TYPE_CHECKING:
    from PIL.Image import Image

ROLES = ("base", "tuned")
FORMAT = 1  # of result.json


def base_name(result: ComparisonResult) -> str:
    """What the files of a comparison are called, without extension: pair, scheduler, steps and first seed."""
    c = result.comparison
    return f"{c.pair.name.replace(':', '-')}-{c.scheduler.name.replace('+', 'p')}-{c.steps}-seed-{c.seed}"


def png_bytes(image: Image, result: ComparisonResult, role: str, index: int) -> bytes:
    """One picture as PNG in its true size.

    Its text chunks hold `model` (base or tuned), `seed`, `score`, `scorer` and `settings` (JSON).

    Args:
        image: the picture.
        result: the comparison that it belongs to.
        role: "base" or "tuned".
        index: its place in result.seeds.
    """
    scores = result.base_scores if role == "base" else result.tuned_scores
    return carrying(
        image,
        {
            "model": role,
            "seed": str(result.seeds[index]),
            "score": repr(scores[index]),
            "scorer": result.comparison.scorer.name,
            "settings": json.dumps(result.comparison.to_dict()),
        },
    )


def carrying(image: Image, facts: Mapping[str, str]) -> bytes:
    """A picture as PNG with text chunks, of which the first says that it is this app's."""
    info = PngInfo()
    facts = {"Software": "ddpo-studio", **facts}
    for key, value in facts.items():
        info.add_itxt(key, value) if not value.isascii() else info.add_text(key, value)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def png_files(result: ComparisonResult) -> dict[str, bytes]:
    """Every picture by file name, `base/seed-0000000007.png`; names sort by seed."""
    files = {}
    for role, images in zip(ROLES, (result.base_images, result.tuned_images), strict=True):
        for index, image in enumerate(images):
            files[f"{role}/seed-{result.seeds[index]:010d}.png"] = png_bytes(image, result, role, index)
    return files


def csv_text(result: ComparisonResult) -> str:
    """One line a seed: seed, base_score, tuned_score, difference (tuned minus base), scorer."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["seed", "base_score", "tuned_score", "difference", "scorer"])
    for seed, base, tuned in zip(result.seeds, result.base_scores, result.tuned_scores, strict=True):
        writer.writerow([seed, repr(base), repr(tuned), repr(tuned - base), result.comparison.scorer.name])
    return buffer.getvalue()


def json_text(result: ComparisonResult) -> str:
    """Settings, seeds, scores and statistics."""
    return json.dumps({"format": FORMAT, **result.to_dict()}, indent=2) + "\n"


def write_csv(result: ComparisonResult, folder: Path) -> Path:
    """Write the CSV into a folder and return its path."""
    path = folder / f"{base_name(result)}.csv"
    path.write_text(csv_text(result), encoding="utf-8")
    return path


def write_zip(result: ComparisonResult, folder: Path) -> Path:
    """Write everything as one zip into a folder and return its path."""
    path = folder / f"{base_name(result)}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in png_files(result).items():
            archive.writestr(name, content)
        archive.writestr("scores.csv", csv_text(result))
        archive.writestr("result.json", json_text(result))
    return path


def write_pngs(result: ComparisonResult, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the pictures into a folder and return the paths of the base's and of the finetuned ones, by seed."""
    paths: dict[str, list[Path]] = {role: [] for role in ROLES}
    for name, content in png_files(result).items():
        path = folder / name.replace("/", "-")
        path.write_bytes(content)
        paths[name.partition("/")[0]].append(path)
    return paths["base"], paths["tuned"]

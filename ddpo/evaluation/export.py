"""An evaluation as a folder: tables, settings, sheets of pictures and a report.

report.html       everything at a glance, in one file
results.json      the numbers behind it
scores.csv        a line a picture and scorer
cells.csv         a line a cell and scorer
settings.json     what was asked for, versions, seeds, and the command that makes it again
pictures/*.png    a sheet of each cell: its first pictures, in the order of the seeds
"""

from __future__ import annotations

import csv
import io
import re
import shlex
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddpo.common.files import finite, json_bytes, replacing, storage_error
from ddpo.evaluation.evaluate import facts_of, pictures_in
from ddpo.evaluation.plan import Cell, Evaluation
from ddpo.evaluation.report import render
from ddpo.evaluation.results import AgainstBase, CellResult, Results, interval_of
from ddpo.evaluation.store import CellStore

FORMAT = 1  # of results.json and settings.json
COLUMNS = 8  # of a sheet
ON_SHEET = 64  # pictures on a sheet at the most, the first ones


def write_folder(results: Results, store: CellStore, folder: Path, sheets: int | None = None) -> list[Path]:
    """Write everything; files that are there are replaced.

    Args:
        results: of the cells that are finished.
        store: where their pictures are.
        folder: made where it is missing.
        sheets: of how many cells, the first ones, there is a sheet; None: of all.

    Returns:
        The files.

    Raises:
        UserError: the disk refuses.
    """
    pictures, facts = pictures_in(store, results), _facts(results.evaluation)
    texts = {
        "settings.json": json_bytes(facts, indent=2),
        "results.json": json_bytes(as_json(results), indent=2),
        "scores.csv": _csv(_score_rows(results)),
        "cells.csv": _csv(_cell_rows(results)),
        "report.html": render(results, pictures, facts).encode(),
    }
    written = []
    try:
        for name, content in texts.items():
            with replacing(folder / name) as file:
                file.write(content)
            written.append(folder / name)
        for result in results.cells[:sheets]:
            path = folder / "pictures" / f"{file_name(result.cell)}.png"
            with replacing(path) as file:
                sheet(pictures(result.cell)[:ON_SHEET]).save(file, "PNG")
            written.append(path)
    except OSError as error:
        raise storage_error(error, folder, "The report of an evaluation") from error
    return written


def zip_of(files: Iterable[Path], folder: Path) -> Path:
    """Pack files of a folder into one zip beside them, and return its path.

    Raises:
        UserError: the disk refuses.
    """
    path = folder / "evaluation.zip"
    try:
        with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in files:
                archive.write(entry, entry.relative_to(folder).as_posix())
    except OSError as error:
        raise storage_error(error, folder, "The zip of an evaluation") from error
    return path


def write_report(results: Results, store: CellStore, folder: Path) -> Path:
    """Write the report alone, and return its file; arguments and errors as in `write_folder`."""
    path = folder / "report.html"
    content = render(results, pictures_in(store, results), _facts(results.evaluation)).encode()
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise storage_error(error, folder, "The report of an evaluation") from error
    return path


def command(evaluation: Evaluation) -> str:
    """The command line that makes it again. Folders are named without the way there, which concerns nobody."""
    asked = evaluation.asked
    own = {
        name: source for name, source in asked["models"].items() if not (asked["pair"] and name in ("base", "tuned"))
    }
    words = ["--pair", asked["pair"]] if asked["pair"] else []
    words += ["--models", *(f"{name}={source}" for name, source in own.items())] if own else []
    words += ["--grid", *asked["grid"]]
    for name in ("eta", "seeds", "seed"):
        words += [f"--{name}", str(asked[name])]
    words += ["--scorers", *asked["scorers"]] if asked["scorers"] else []
    words += ["--precision", asked["precision"]] if asked["precision"] else []
    words += ["--reference", asked["reference"]] if asked["reference"] else []
    return shlex.join(["python", "-m", "ddpo.evaluation", *words])


def _facts(evaluation: Evaluation) -> dict[str, Any]:
    return {"format": FORMAT, "command": command(evaluation), **facts_of(evaluation)}


def as_json(results: Results) -> dict[str, Any]:
    """Cells, comparisons and verdicts, ready for JSON."""
    models = results.evaluation.models
    as_good = {model.name: results.as_good(model) for model in models}
    return finite(
        {
            "format": FORMAT,
            "complete": results.is_complete,
            "target": results.evaluation.target.name,
            "cells": [_cell_json(result) for result in results.cells],
            "comparisons": [_comparison_json(compared) for compared in results.comparisons],
            "cheapest_as_good": {
                name: {"best": found[0].title, "cheapest": found[1].title} for name, found in as_good.items() if found
            },
        }
    )


def file_name(cell: Cell) -> str:
    """What a cell's files are called, without extension."""
    return re.sub(r"[^a-z0-9+.]+", "-", cell.title.lower()).strip("-").replace("+", "p")


def sheet(pictures: np.ndarray) -> Image.Image:
    """Pictures (N, H, W, 3) uint8 in rows on white, the last row filled up with white."""
    from ddpo.diffusion.pictures import tile

    lacking = -len(pictures) % COLUMNS
    white = np.full((lacking, *pictures.shape[1:]), 255, np.uint8)
    return Image.fromarray(tile(np.concatenate([pictures, white]), COLUMNS))


def _cell_json(result: CellResult) -> dict[str, Any]:
    return {
        **_place(result.cell),
        "seconds_per_picture": result.seconds,
        "evaluations_per_picture": result.evaluations,
        "scores": {name: list(values) for name, values in result.scores.items()},
        "measures": asdict(result.measures) if result.measures else None,
        "reference": asdict(result.reference) if result.reference else None,
    }


def _comparison_json(compared: AgainstBase) -> dict[str, Any]:
    gains = {
        name: {**asdict(gain), "interval": gain.interval, "method": gain.method, "wins_interval": gain.wins_interval}
        for name, gain in compared.gains.items()
    }
    return {**_place(compared.cell.cell), "gains": gains, "verdict": asdict(compared.verdict)}


def _place(cell: Cell) -> dict[str, Any]:
    point = cell.point
    return {"model": cell.model.name, "scheduler": point.scheduler.name, "steps": point.steps, "eta": point.eta}


def _score_rows(results: Results) -> Iterable[Mapping[str, Any]]:
    for result in results.cells:
        for scorer, scores in result.scores.items():
            for seed, score in zip(results.evaluation.seeds, scores, strict=True):
                yield {**_place(result.cell), "seed": seed, "scorer": scorer, "score": repr(score)}


def _cell_rows(results: Results) -> Iterable[Mapping[str, Any]]:
    gains = {compared.cell.cell: compared.gains for compared in results.comparisons}
    for result in results.cells:
        for scorer in result.scores:
            low, high = interval_of(result, scorer) or ("", "")
            gain = gains.get(result.cell, {}).get(scorer)
            gain_low, gain_high = (gain.interval if gain else None) or ("", "")
            yield {
                **_place(result.cell), "scorer": scorer, "mean": result.mean(scorer), "low": low, "high": high,
                "gain": gain.paired.mean_difference if gain else "", "gain_low": gain_low, "gain_high": gain_high,
                "win_rate": gain.paired.win_rate if gain else "", "p_corrected": gain.p_corrected if gain else "",
                "seconds": result.seconds, "evaluations": result.evaluations,
                "reference_distance": result.reference.value if result.reference else "",
            }  # fmt: skip


def _csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO()
    listed = list(rows)
    if listed:
        writer = csv.DictWriter(buffer, list(listed[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
    return buffer.getvalue().encode()

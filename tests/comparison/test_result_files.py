"""What is downloaded: PNGs that say what they are, a CSV and a JSON that parse."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from ddpo.common.statistics import paired_statistics
from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.files import csv_text, write_csv, write_pngs, write_zip
from ddpo.comparison.settings import ComparisonSettings, resolve

BASE, TUNED = [4.25, 5.5], [5.0, 5.25]


@pytest.fixture
def result() -> ComparisonResult:
    settings = ComparisonSettings(scheduler="dpm-solver++", steps=7, samples=2, seed=41, tuned="/home/me/secret/mine")
    return ComparisonResult(
        comparison=resolve(settings),
        base_images=[Image.new("RGB", (64, 64), colour) for colour in ("red", "green")],
        tuned_images=[Image.new("RGB", (64, 64), colour) for colour in ("blue", "white")],
        base_scores=BASE,
        tuned_scores=TUNED,
        statistics=paired_statistics(BASE, TUNED),
        seconds=2.0,
        compute="cpu, float32",
    )


def test_the_zip_holds_every_picture_with_the_table_and_the_json(result: ComparisonResult, tmp_path: Path) -> None:
    with zipfile.ZipFile(write_zip(result, tmp_path)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "base/seed-0000000041.png",
            "base/seed-0000000042.png",
            "result.json",
            "scores.csv",
            "tuned/seed-0000000041.png",
            "tuned/seed-0000000042.png",
        ]
        assert json.loads(archive.read("result.json"))["seeds"] == [41, 42]
        assert archive.read("scores.csv").decode() == csv_text(result)
        assert b"secret" not in b"".join(archive.read(name) for name in archive.namelist())


def test_a_png_keeps_its_size_and_carries_settings_seed_score_and_scorer(
    result: ComparisonResult, tmp_path: Path
) -> None:
    with zipfile.ZipFile(write_zip(result, tmp_path)) as archive:
        picture = Image.open(io.BytesIO(archive.read("tuned/seed-0000000042.png")))
    picture.load()
    assert picture.size == (64, 64) and picture.getpixel((0, 0)) == (255, 255, 255)
    chunks = picture.text  # type: ignore[attr-defined]
    assert (chunks["model"], chunks["seed"], chunks["scorer"]) == ("tuned", "42", "photographic")
    assert float(chunks["score"]) == 5.25
    settings = json.loads(chunks["settings"])
    assert (settings["scheduler"], settings["steps"], settings["tuned"]) == ("dpm-solver++", 7, "mine")


def test_the_csv_has_one_line_a_seed_and_names_the_scorer(result: ComparisonResult, tmp_path: Path) -> None:
    rows = list(csv.DictReader(write_csv(result, tmp_path).read_text(encoding="utf-8").splitlines()))
    assert [int(row["seed"]) for row in rows] == [41, 42]
    assert [float(row["difference"]) for row in rows] == [0.75, -0.25]
    assert all(float(row["tuned_score"]) - float(row["base_score"]) == float(row["difference"]) for row in rows)
    assert {row["scorer"] for row in rows} == {"photographic"}


def test_single_pictures_are_written_by_model_in_the_order_of_the_seeds(
    result: ComparisonResult, tmp_path: Path
) -> None:
    base, tuned = write_pngs(result, tmp_path)
    assert [path.name for path in base] == ["base-seed-0000000041.png", "base-seed-0000000042.png"]
    assert Image.open(tuned[0]).getpixel((5, 5)) == (0, 0, 255)

"""The command line runs an evaluation, writes a folder that stands for itself, and says in a sentence what is wrong."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from PIL import Image

from ddpo.diffusion.models import save_model
from ddpo.evaluation import plots
from ddpo.evaluation.command import build_parser, main
from ddpo.evaluation.evaluate import CellDone, evaluate
from ddpo.evaluation.export import command, sheet, zip_of
from ddpo.evaluation.plan import make_evaluation
from ddpo.evaluation.store import CellStore
from tests.helpers.models import make_unet

SEEDS = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    schedule = dict(DDPMScheduler(prediction_type="v_prediction").config)
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for seed, folder in enumerate(folders):
        save_model(make_unet(seed), schedule, folder, torch.float32)
    return [f"plain={folders[0]}", f"other={folders[1]}"]


@pytest.fixture(scope="module")
def written(models: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished evaluation; its cache lies beside it."""
    folder = tmp_path_factory.mktemp("evaluation")
    assert main([*arguments(models, folder), "--grid", "ddim:2,4", "heun:2"]) == 0
    return folder / "out"


def arguments(models: list[str], folder: Path) -> list[str]:
    return [
        "--models", *models, "--seeds", str(SEEDS), "--precision", "float32",
        "--cache", str(folder / "cache"), "--out", str(folder / "out"),
    ]  # fmt: skip


def test_the_tables_hold_every_score_and_every_cell(written: Path) -> None:
    with (written / "scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 6 * SEEDS * 2 and {row["scorer"] for row in scores} == {"photographic", "colourfulness"}
    facts = json.loads((written / "results.json").read_bytes())
    assert facts["complete"] and len(facts["cells"]) == 6 and len(facts["comparisons"]) == 3
    with (written / "cells.csv").open() as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 12
    for row in cells:
        same = [
            float(line["score"])
            for line in scores
            if all(line[k] == row[k] for k in ("model", "scheduler", "steps", "scorer"))
        ]
        assert float(row["mean"]) == pytest.approx(np.mean(same)) and float(row["low"]) <= float(row["mean"])
        assert (row["gain"] == "") == (row["model"] == "plain")
    assert set(facts["cheapest_as_good"]) == {"plain", "other"}


def test_settings_tell_what_makes_it_again_and_not_where_models_lie(written: Path, models: list[str]) -> None:
    facts = json.loads((written / "settings.json").read_bytes())
    assert (
        facts["seeds"][0] == 10_000 and len(facts["seeds"]) == SEEDS and {"torch", "diffusers"} <= {*facts["versions"]}
    )
    folder = models[0].partition("=")[2]
    texts = [(written / name).read_text() for name in ("settings.json", "results.json", "report.html")]
    assert not any(str(Path(folder).parent) in text for text in texts)
    words = shlex.split(facts["command"])
    assert words[:3] == ["python", "-m", "ddpo.evaluation"]
    again = build_parser().parse_args(words[3:])
    assert (again.grid, again.seeds, again.precision) == (["ddim:2,4", "heun:2"], SEEDS, "float32")
    assert again.models == [f"plain={Path(folder).name}", f"other={Path(models[1].partition('=')[2]).name}"]


def test_the_command_of_a_pair_asks_for_the_same() -> None:
    asked = make_evaluation(pair="church-64", grid=("ddim:5", "unipc"), seeds=8, scorers=("jpeg-compressibility",))
    options = build_parser().parse_args(shlex.split(command(asked))[3:])
    again = make_evaluation(pair=options.pair, grid=options.grid, seeds=options.seeds, scorers=options.scorers)
    assert again == asked and again.asked == asked.asked


def test_every_cell_has_a_sheet_of_its_pictures(written: Path) -> None:
    names = sorted(path.name for path in (written / "pictures").iterdir())
    assert names[:2] == ["other-ddim-2.png", "other-ddim-4.png"] and len(names) == 6
    with Image.open(written / "pictures" / names[0]) as found:
        assert found.size == (8 * 18 - 2, 2 * 18 - 2)
    assert sheet(np.zeros((3, 16, 16, 3), np.uint8)).size == (8 * 18 - 2, 16)


class Outline(HTMLParser):
    """Tags that are open at the end, and what was met."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_whole_file_for_everybody(written: Path) -> None:
    text = (written / "report.html").read_text()
    outline = Outline()
    outline.feed(text)
    assert not outline.open
    tags = [tag for tag, _ in outline.met]
    assert not {"script", "link"} & {*tags} and not re.search(r'(?:src|href)=(?!"data:)', text)
    assert tags.count("svg") == 3 and all(attrs.get("aria-label") for tag, attrs in outline.met if tag == "svg")
    assert all(attrs.get("alt") for tag, attrs in outline.met if tag == "img") and tags.count("img") == 9 + 6
    assert tags.count("table") >= 4 and all(attrs.get("scope") for tag, attrs in outline.met if tag == "th")
    for words in ("Verdicts", "seeds find a mean gain of", "Holm", "Worst", "python -m ddpo.evaluation"):
        assert words in text
    assert not re.search(r"\bnan\b", re.sub(r'base64,[^"]+', "", text).lower())


def test_a_ring_marks_one_point_of_each_model(written: Path) -> None:
    text = (written / "report.html").read_text()
    assert text.count('class="ring"') == 2


def test_started_again_it_draws_nothing_and_writes_the_same(
    written: Path, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((written / "results.json").read_bytes())
    assert main([*arguments(models, written.parent), "--grid", "ddim:2,4", "heun:2"]) == 0
    out = capsys.readouterr().out
    assert out.count("from the cache") == 6 and "The report is" in out
    assert json.loads((written / "results.json").read_bytes()) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--grid", "euler:5"], "no scheduler called"),
        (["--models", "church"], "NAME=FOLDER"),
        (["--models", "a=b/c", "a=d/e"], "called a"),
        (["--models", "a=/nowhere", "b=/nowhere"], "no folder"),
        (["--seeds", "0"], "number of seeds"),
        (["--scorers", "beauty"], "beauty"),
        (["--scorers", "nothing_here:score"], "nothing_here"),
    ],
)
def test_bad_words_are_answered_with_one_sentence(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1 and err.endswith(".\n")


def test_words_that_no_number_can_be_made_of_are_answered_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--seeds", "many"])
    err = capsys.readouterr().err
    assert caught.value.code == 2 and "many" in err and err.count("\n") == 1


def test_what_goes_wrong_under_way_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    folder = str(tmp_path / "empty")
    code = main(
        ["--models", f"a={folder}", f"b={folder}", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    )
    assert code == 1 and "holds no diffusion model" in capsys.readouterr().err


def test_a_part_of_an_evaluation_can_be_written(models: list[str], written: Path, tmp_path: Path) -> None:
    from ddpo.evaluation.export import write_folder

    folders = dict(model.split("=", 1) for model in models)
    evaluation = make_evaluation(models=folders, grid=("ddim:2,4",), seeds=SEEDS, precision="float32")
    store = CellStore(written.parent / "cache")
    first = next(event for event in evaluate(evaluation, store) if isinstance(event, CellDone))
    write_folder(first.results, store, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "Not finished: 4 cells were asked for" in text and "Verdicts" not in text


def test_all_of_it_fits_into_one_zip(written: Path, tmp_path: Path) -> None:
    files = [path for path in sorted(written.rglob("*")) if path.is_file()]
    shutil.copytree(written, tmp_path / "report")
    path = zip_of([tmp_path / "report" / file.relative_to(written) for file in files], tmp_path / "report")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [file.relative_to(written).as_posix() for file in files]
        assert archive.read("results.json") == (written / "results.json").read_bytes()


def test_ticks_are_round_and_within() -> None:
    assert plots.ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert plots.ticks(6.31, 7.84) == pytest.approx([6.5, 7.0, 7.5])
    assert plots.ticks(3, 3) == [3]

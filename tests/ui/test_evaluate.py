"""Evaluations as programs ask for them, through gradio_client; who may ask for what; and what is kept of them."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from ddpo.comparison.events import Progress
from ddpo.errors import UserError
from ddpo.evaluation.evaluate import CellDone
from ddpo.evaluation.plan import Evaluation
from ddpo.evaluation.results import CellResult, Results
from ddpo.ui.evaluate import asking, form, kept, run, storage, views
from ddpo.ui.shared import places
from ddpo.ui.shared.shelf import Shelf
from ddpo.ui.space.asker import Asker
from tests.helpers.models import two_models
from tests.helpers.serving import RunningApp

CALL: dict[str, Any] = {"seeds": 4, "scorers": ["photographic"], "api_name": "/evaluate"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two tiny models, name to folder."""
    return two_models(tmp_path_factory.mktemp("models"))


def test_cells_come_one_by_one_and_then_the_verdicts_and_the_report(client: Client, models: dict[str, str]) -> None:
    job = client.submit(models=models, grid=["ddim:2", "heun:2"], **CALL)
    (report,), result = job.result(timeout=120)
    assert result["complete"] and result["target"] == "photographic" and result["settings"]["seeds"] == 4
    cells = [(cell["model"], cell["scheduler"], cell["steps"]) for cell in result["cells"]]
    assert cells == [(name, scheduler, 2) for scheduler in ("ddim", "heun") for name in ("plain", "other")]
    for cell in result["cells"]:
        assert {name: len(scores) for name, scores in cell["scores"].items()} == {"photographic": 4, "colourfulness": 4}
    verdicts = [compared["verdict"] for compared in result["comparisons"]]
    assert len(verdicts) == 2 and all("photographic" in verdict["sentence"] for verdict in verdicts)
    partial = [len(state[1].get("cells", [])) for state in job.outputs()[:-1]]
    assert any(0 < count < 4 for count in partial) and all(not state[0] for state in job.outputs()[:-1])
    page = Path(report).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and all(escape(verdict["sentence"]) in page for verdict in verdicts)
    assert not any(str(Path(folder).parent) in page + str(result) for folder in models.values())


def test_what_was_finished_before_a_cancel_is_not_drawn_again(
    app: RunningApp, client: Client, models: dict[str, str]
) -> None:
    mark = len(app.log)
    job = client.submit(models=models, grid=["unipc:2", "ddpm:1000"], **CALL)
    deadline = time.monotonic() + 120
    while not any(state[1].get("step", 0) > 20 for state in job.outputs()) and time.monotonic() < deadline:
        time.sleep(0.05)
    job.cancel()
    app.wait_for_log("Evaluation cancelled after 2 of 4 cells", mark)
    (folders,) = {len(list((app.log_file.parent / "evaluations").iterdir()))}
    first = client.predict(models=models, grid=["unipc:2"], **CALL)[1]
    again = client.predict(models=models, grid=["unipc:2"], **CALL)[1]
    assert first == again  # the seconds of a picture too, which are never the same where it is drawn again
    assert len(list((app.log_file.parent / "evaluations").iterdir())) == folders


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"seeds": 1}, r"seeds must be a whole number from 2 to"),
        ({"seeds": "many"}, "seeds must be"),
        ({"seed": -1}, "first seed"),
        ({"eta": 2.0}, "eta must be between 0"),
        ({"eta": "NaN"}, "eta must be a finite number"),
        ({"grid": ["euler:5"]}, "no scheduler called 'euler'"),
        ({"grid": ["pndm:2"]}, "PNDM takes a whole number of steps from 4"),
        ({"grid": ["ddim:"]}, "must be whole numbers with commas"),
        ({"grid": "ddim:5"}, "grid must be a list"),
        ({"pair": "cathedral"}, "no model pair called 'cathedral'"),
        ({"pair": "own"}, "Give both models"),
        ({"models": ["a/b"]}, "must be given by name"),
        ({"models": {"mine": ""}}, "cannot be one"),
        ({"models": {"mine": "/nowhere/at/all"}}, "no folder '/nowhere/at/all'"),
        ({"models": {"tuned": "church-64"}}, "called alike"),
        ({"models": {"mine": "run:none"}}, "run"),
        ({"scorers": ["beauty"]}, "beauty"),
        ({"scorers": ["prompt"]}, "needs a sentence"),
        ({"scorers": "photographic"}, "scorers must be a list"),
        ({"scorers": ["os:system"]}, "only from the command line"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(client: Client, arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(**{**CALL, "pair": "church-64", "grid": ["ddim:1"], **arguments})
    sentence = str(caught.value)
    assert re.search(expected, sentence), sentence
    assert sentence.endswith((".", "?")) and "\n" not in sentence and "Traceback" not in sentence


# The form -------------------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "pair": "church-64", "base": "", "tuned": "", "others": [], "schedulers": ["ddim", "unipc"], "steps": "8, 20",
    "seeds": 16, "scorer": "photographic", "like": "", "unlike": "", "also": ["jpeg-compressibility"],
    "seed": 0, "eta": 0,
}  # fmt: skip


def asked(asker: Asker = Asker.OPERATOR, **changes: Any) -> Evaluation:
    return form.read(asker, list({**VALUES, **changes}.values()))


def test_the_form_asks_for_every_scheduler_with_every_number_of_steps() -> None:
    evaluation = asked(steps=" 20,8 ; 20")
    assert [point.title for point in evaluation.points] == ["DDIM 8", "UniPC 8", "DDIM 20", "UniPC 20"]
    assert [spec.name for spec in evaluation.scorers] == ["photographic", "jpeg-compressibility", "colourfulness"]
    assert [model.name for model in evaluation.models] == ["base", "tuned"]
    assert evaluation.evaluations == 2 * 16 * 2 * (8 + 20)
    assert evaluation.pixel_steps(64) == 16 * 2 * (8 + 20) * 64**2 / 1e6  # as a comparison of so many pictures


def test_more_models_are_called_after_what_they_are(models: dict[str, str]) -> None:
    others = ["me/fine-tuned@main", models["plain"], "you/fine-tuned@main", "celebahq-256-over50"]
    evaluation = asked(others=others)
    names = [model.name for model in evaluation.models]
    assert names[:3] == ["base", "tuned", "fine-tuned-main"] and names[4] == "fine-tuned-main 2"
    assert evaluation.models[-1].source == "alkzar90/ddpo-over50-celebahq-256"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": ""}, "Give the numbers of steps"),
        ({"steps": "eight"}, "must be whole numbers"),
        ({"schedulers": []}, "at least one noise scheduler"),
        ({"pair": "own", "base": "me/mine"}, "Give both models"),
        ({"others": "me/mine"}, "must be given as a list"),
        ({"scorer": "prompt", "like": " "}, "needs a sentence"),
    ],
)
def test_the_form_says_what_is_wrong(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        asked(**changes)


@pytest.mark.parametrize("asker", [Asker.VISITOR, Asker.ELSEWHERE, Asker.WEBSITE, Asker.OWNER])
def test_only_the_operator_may_name_folders(models: dict[str, str], asker: Asker) -> None:
    asked(Asker.OPERATOR, others=[models["plain"]])
    with pytest.raises(UserError, match="Folders work only"):
        asked(asker, others=[models["plain"]])
    with pytest.raises(UserError, match="Folders work only"):
        asked(asker, pair="own", base="me/mine", tuned=models["plain"])
    assert asked(asker, others=["celebahq-256-over50"])


def test_the_cost_is_bounded_before_anything_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "evaluate", lambda *_: pytest.fail("it began"))
    evaluation = asked()
    with pytest.raises(UserError, match=r"3.67 million pixel steps, and at most 3 are allowed here"):
        next(run.follow(evaluation, 3))


def test_lines_beside_the_controls_tell_what_it_takes_and_can_show() -> None:
    line = views.cost_line(asked(), 83.0)
    assert "8 cells of 16 seeds: 1,792 evaluations" in line and "about 83 s" in line
    assert "on this machine" not in views.cost_line(asked(), None)
    hint = views.power_line(asked())
    assert "16 seeds find a mean gain of" in hint and "4 comparisons" in hint


# Turns and what is kept -----------------------------------------------------------------------------------------------


def finished(evaluation: Evaluation, key: str = "a") -> Results:
    scores = {spec.name: (1.0,) * len(evaluation.seeds) for spec in evaluation.scorers}
    return Results(evaluation, [CellResult(cell, key, scores, 1.0, 1, False) for cell in evaluation.cells])


def test_a_comparison_that_waits_has_a_turn_between_two_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DDPO_EVALUATIONS", str(tmp_path))
    order: list[str] = []

    def compares() -> None:
        places.COMPARING.take(30)
        order.append("comparison")
        places.COMPARING.give_back()

    waiting = threading.Thread(target=compares)

    def beats(evaluation: Evaluation, root: Path, point: Any, most: Any) -> Iterator[Progress | CellDone]:
        order.append(point.title)
        yield Progress("Drawing", 1, 2, 5.0)
        if len(order) == 1:
            waiting.start()
            time.sleep(0.2)
        for result in finished(evaluation).cells:
            if result.cell.point == point:
                yield CellDone(result, Results(evaluation, [result]))

    monkeypatch.setattr(run, "events_at", beats)
    evaluation = asked(schedulers=["ddim"])
    events = list(run.follow(evaluation))
    waiting.join()
    assert order == ["DDIM 8", "comparison", "DDIM 20"]
    assert [len(event.results.cells) for event in events if isinstance(event, CellDone)] == [1, 2, 3, 4]
    told = [event for event in events if isinstance(event, Progress)]
    assert {progress.total for progress in told} == {evaluation.evaluations}
    assert [progress.step for progress in told] == [1, 1 + 2 * 16 * 8]


def test_the_page_keeps_no_more_on_the_disk_than_stated(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "middle", "oldest", "in use")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pictures.npz").write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    in_use: Any = SimpleNamespace(cells=[SimpleNamespace(key="in use")])
    storage.tidy(tmp_path, in_use, 400)
    assert len(list(tmp_path.iterdir())) == 4
    storage.touch(tmp_path, SimpleNamespace(cells=[SimpleNamespace(key="oldest")]))  # type: ignore[arg-type]
    storage.tidy(tmp_path, in_use, 300)
    assert {path.name for path in tmp_path.iterdir()} == {"newest", "oldest", "in use"}
    storage.tidy(tmp_path, in_use, 0)
    assert {path.name for path in tmp_path.iterdir()} == {"in use"}
    storage.tidy(tmp_path / "nowhere", in_use, 0)


def test_the_latest_results_are_kept_within_a_bound() -> None:
    shelf = Shelf(2000, kept.scores)
    results = [finished(asked()) for _ in range(10)]
    keys = [shelf.keep(entry) for entry in results]
    assert shelf.find(keys[-1]) is results[-1] and shelf.find(keys[0]) is None and shelf.find({"a": 1}) is None
    assert shelf.taken <= 2000


def test_what_takes_longer_with_each_cell_is_done_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: now))
    seldom = run.Seldom()
    assert seldom.is_due()
    with seldom.doing():
        now += 1
    assert not seldom.is_due()
    now += 9
    assert seldom.is_due()


def test_names_are_unlike_and_can_be_names() -> None:
    taken = ["base", "tuned"]
    for source in ("run:20261125-101010-photographic", "a/b@" + "r" * 500, "/", "//", "\ud800", "a/-", "x" * 300):
        name = asking.called(source, taken)
        assert name not in taken and len(name) <= 40
        taken.append(name)

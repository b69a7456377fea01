"""Many runs on the page: their list, their settings, their differences, and what of the form is out of use."""

from __future__ import annotations

import json
import time
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from ddpo.common.words import duration
from ddpo.errors import UserError
from ddpo.runs import labels, waiting
from ddpo.runs.store import RunSpec, list_runs, training_lock
from ddpo.training.config import settings
from ddpo.training.recipes import RECIPES, make_config
from ddpo.ui.compare import turn
from ddpo.ui.space import permission
from ddpo.ui.space.asker import Asker
from ddpo.ui.space.turns import Place
from ddpo.ui.train import actions, form, live, run_list, tables, views
from ddpo.ui.train.groups import TITLES, out_of_use
from ddpo.ui.train.overlay import checked, overlay
from tests.helpers.run_folders import CHURCH, make_run
from tests.helpers.run_folders import many_runs as make_many


def form_values(**changes: Any) -> dict[str, Any]:
    config = RECIPES["quick"].config
    return {name: changes.get(name, getattr(config, name)) for name in form.ORDER}


def beside(recipe: str = "quick", **changes: Any) -> dict[str, Any]:
    """What the form says beside its fields, with some of them changed."""
    values = ["church-64", "photographic", "", "", recipe, 0, "", *form_values(**changes).values()]
    told = form.told(None, None, *values)
    found: dict[str, Any] = json.loads(unescape(told.split('data-fields="')[1].split('"')[0]))
    return found


def test_every_setting_has_a_title_and_a_place_in_the_form() -> None:
    assert set(TITLES) == {setting.name for setting in settings()} == set(form.ORDER)
    assert len(set(TITLES.values())) == len(TITLES)


def test_what_is_out_of_use_says_why() -> None:
    quick = out_of_use(form_values())
    assert quick["lora_rank"] == "weights is not lora" and "eval_seeds is 0" in quick["eval_steps"]
    assert not {"window_first", "kl_weight", "warmup_epochs", "clip_range"} & quick.keys()
    assert "above epochs (3)" in out_of_use(form_values(warmup_epochs=4, epochs=3))["warmup_epochs"]
    assert "lora_rank" not in out_of_use(form_values(weights="lora"))
    draft = out_of_use(form_values(algorithm="draft", window="random"))
    assert "no policy" in draft["kl_weight"] and "truncation" not in draft and "window_first" in draft


@pytest.mark.parametrize("value", [None, "", [], {}, float("nan"), 10**400, "x" * 1000])
def test_nonsense_in_the_form_is_no_error(value: Any) -> None:
    for name in form.ORDER:
        assert isinstance(out_of_use(form_values(**{name: value})), dict)


def test_an_error_stands_at_its_field() -> None:
    assert beside()["wrong"] == [] and beside()["sentence"] == ""
    assert beside(trained_steps=60)["wrong"] == ["trained_steps", "sampling_steps"]
    assert beside(eta=7)["wrong"] == ["eta"] and "eta must be" in beside(eta=7)["sentence"]
    assert beside(learning_rate=None)["wrong"] == ["learning_rate"]


def test_a_base_that_cannot_be_had_is_refused_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    spec = RunSpec("church-256-aesthetic", "google/ddpm-church-256", "photographic", "quick", make_config({}, "quick"))
    with pytest.raises(UserError, match="church-256: not on this machine, and not to be had from the Hugging Face Hub"):
        actions.start(spec, None)
    assert not list_runs(tmp_path / "runs")


def test_the_settings_of_a_run_fill_the_form(tmp_path: Path) -> None:
    run = make_run(tmp_path, "finished", 2, epochs=1234, reward="colourfulness")
    pair, reward, *_, recipe, minutes, base = form.filled(Asker.OPERATOR, run.spec)[:7]
    assert (pair, reward, recipe, base) == ("church-64", "colourfulness", "quick", "") and minutes == gr.skip()
    assert form.filled(Asker.OPERATOR, run.spec)[7] == 1234 and len(form.filled(Asker.OPERATOR, run.spec)) == form.COUNT
    own = make_run(tmp_path, "finished", 2, base=CHURCH.parent / "tuned")
    assert form.filled(Asker.OPERATOR, own.spec)[6] == str(CHURCH.parent / "tuned")
    with pytest.raises(UserError, match="Folders work only"):
        form.filled(Asker.ELSEWHERE, own.spec)


def test_settings_are_a_table_and_two_runs_differ_in_some(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, "finished", 2, epochs=4), make_run(tmp_path, "finished", 2, reward="colourfulness")]
    table = tables.settings(runs[0])
    assert all(f"<code>{name}</code>" in table for name in TITLES) and "recipe: 20" in table
    differences = tables.differences(runs, ["one", "two"])
    assert "photographic" in differences and "colourfulness" in differences and "<code>epochs" not in differences
    assert "the same settings" in tables.differences([runs[0]] * 2, ["one", "two"])


def test_ticked_runs_come_with_their_curves(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, "finished", 4), make_run(tmp_path, "stopped", 2)]
    labels.rename(runs[0], "warm <b>evenings</b>")
    assert overlay([runs[0].id], runs) == overlay([], runs) == overlay([runs[0].id, "gone"], runs) == ""
    html = overlay([run.id for run in runs], runs)
    data = json.loads(unescape(html.split('data-overlay="')[1].split('"')[0]))
    assert data[0]["title"] == "warm <b>evenings</b>" and "<b>evenings" not in html
    assert data[0]["reward"] == pytest.approx([4.1, 4.2, 4.3, 4.4]) and data[1]["epoch"] == [1, 2]
    assert data[0]["pictures"] == [64, 128, 192, 256] and data[0]["seconds"][-1] == 40.0
    assert checked(["a", 7, "b", None]) == ("a", "b") and checked("ab") == () == checked(None)
    assert len(checked(["a"] * 50)) == run_list.MOST_TICKED


def test_the_list_shows_names_notes_and_who_waits(tmp_path: Path) -> None:
    run = make_run(tmp_path, "stopped", 2)
    labels.rename(run, "<i>warm</i>")
    labels.annotate(run, "Fog stays fog.")
    waiting.enqueue(run, None)
    html = run_list.run_list([run], run.id)
    assert "&lt;i&gt;warm" in html and "Fog stays fog." in html and 'data-word="Queued"' in html
    assert f'<time datetime="{run.created}">' in html
    card = views.status_card(actions.look_at(run))
    assert "It is the next to train, likely to start in about 1 s" in card and "<time" in card


def test_a_run_that_waits_behind_one_of_unknown_length_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpo.runs import estimate

    monkeypatch.setattr(estimate, "has_gpu", lambda: True)
    training = make_run(tmp_path, "running", 0)
    training.write_status(seconds_left=None)
    run = make_run(tmp_path, "stopped", 0)
    waiting.enqueue(run, None)
    with training_lock(tmp_path, training):
        assert "not known yet" in views.status_card(actions.look_at(run))


def test_a_comparison_that_waits_is_told_its_place() -> None:
    assert "3 comparisons before this one, which need " + duration(40) in turn.waiting_card(Place(3, 40.0))
    assert "one comparison before this one, which needs a time not known yet" in turn.waiting_card(Place(1, None))
    assert "2 evaluations before this one, which need " in turn.waiting_card(Place(2, 9.0), "evaluation")
    assert turn.cancelled(turn.waiting_card(Place(2, 5.0))) == turn.NOT_BEGUN
    assert turn.cancelled("<b>Drawing</b>") == turn.cancelled(None) == turn.STOPPED


def test_who_may_train_may_not_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_TRAINING", "on")
    permission.check_managing(Asker.OPERATOR)
    with pytest.raises(UserError, match="works only at the machine"):
        permission.check_managing(Asker.ELSEWHERE)
    monkeypatch.setenv("SPACE_ID", "owner/space")
    permission.check_managing(Asker.OWNER)
    with pytest.raises(UserError, match="Only the owner"):
        permission.check_managing(Asker.VISITOR)


def test_two_hundred_runs_take_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    make_many(tmp_path, 200)
    shown = live.look(None, 0, live.Shown())[0]  # files are read once
    begun = time.monotonic()
    _, *again = live.look(None, shown.last_epoch, shown)
    assert time.monotonic() - begun < 1.0
    assert all(part == gr.skip() for part in again)
    parts = live.parts(actions.look_at(list_runs(tmp_path)[0]), 0, True)
    assert parts["runs"].count("data-run=") == 200 and len(parts["runs"]) < 250_000

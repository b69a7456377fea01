"""What the address asks of the Evaluate tab, as far as the server reads it."""

from __future__ import annotations

from html import unescape
from typing import Any

import gradio as gr
import pytest

from ddpo.evaluation.results import CellResult, Results
from ddpo.ui.evaluate import form as evaluate_form
from ddpo.ui.evaluate import kept, link, tab
from ddpo.ui.evaluate.form import FIELDS, Form
from ddpo.ui.shared.linked import remembered
from ddpo.ui.space.asker import Asker

ADDRESS = {
    "eval-pair": "church-64", "eval-schedulers": "ddim,unipc", "eval-steps": "8, 20", "eval-seeds": "16",
    "eval-scorer": "colourfulness", "eval-also": "jpeg-compressibility", "eval-seed": "7", "eval-eta": "0.5",
}  # fmt: skip


@pytest.fixture(scope="module")
def form() -> Form:
    with gr.Blocks():
        return evaluate_form.build()


def named(form: Form, address: dict[str, str], asker: Asker = Asker.OPERATOR) -> tuple[dict[str, Any], list[str]]:
    return link.settings(asker, address, link.opening(form))


def test_every_field_comes_from_the_address(form: Form) -> None:
    found, problems = named(form, ADDRESS)
    assert not problems
    assert found == {
        "pair": "church-64", "schedulers": ["ddim", "unipc"], "steps": "8, 20", "seeds": 16, "scorer": "colourfulness",
        "like": "", "unlike": "", "also": ["jpeg-compressibility"], "seed": 7, "eta": 0.5,
    }  # fmt: skip
    values = dict(zip(FIELDS, link.updates(form, found), strict=True))
    assert values["seeds"]["value"] == 16 and values["others"]["value"] == [] and values["scorer"] == "colourfulness"
    assert values["base"]["visible"] is False


def test_models_are_listed_with_commas_between(form: Form) -> None:
    found, problems = named(form, {"eval-others": "me/one,me/two%2Cthree@main"})
    assert not found and "me/two,three" in problems[0]  # a comma within a name is no end of it
    found, problems = named(form, {"eval-others": "me/one,celebahq-256-over50"})
    assert found == {"others": ["me/one", "celebahq-256-over50"]} and not problems
    found, _ = named(form, {"eval-pair": "own", "eval-base": "a/b", "eval-tuned": "c/d"})
    values = dict(zip(FIELDS, link.updates(form, found), strict=True))
    assert (values["base"]["value"], values["tuned"]["value"], values["base"]["visible"]) == ("a/b", "c/d", True)


@pytest.mark.parametrize("name", link.NAMES)
@pytest.mark.parametrize("value", ["<script>alert(1)</script>", "x" * 10_000, "../../etc", "run:someone-else", "\0"])
def test_any_value_that_means_nothing_ends_in_a_sentence(form: Form, name: str, value: str) -> None:
    found, problems = named(form, {name: value}, Asker.VISITOR)
    assert not found and len(problems) == 1 and len(problems[0]) < 1200 and problems[0][-1] in ".?"


def test_what_is_wrong_is_left_out_and_the_rest_is_taken(form: Form) -> None:
    found, problems = named(form, {**ADDRESS, "eval-seeds": "-1e999", "eval-steps": "many"})
    assert found["seed"] == 7 and not {"seeds", "steps", "schedulers"} & found.keys() and len(problems) == 2


def test_results_that_are_at_hand_are_shown_and_a_running_evaluation_is_left_alone(
    form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = named(form, ADDRESS)
    asked = evaluate_form.read(Asker.OPERATOR, [{**link.opening(form), **found}[name] for name in FIELDS])
    scores = {spec.name: (1.0,) * 16 for spec in asked.scorers}
    whole = Results(asked, [CellResult(cell, "a", scores, 1.0, 1, False) for cell in asked.cells])
    monkeypatch.setattr(tab, "of_results", lambda results, key: {"state": key, "verdicts": str(results is whole)})
    kept.results.clear()

    def shown(label: str, key: str | None = None) -> dict[str, Any]:
        outputs = tab._linked(form, Asker.OPERATOR, ADDRESS, label, key)
        return dict(zip(tab.Shown.__dataclass_fields__, outputs[len(FIELDS) :], strict=True))

    assert "Press <b>Evaluate</b>" in shown("Evaluate")["status"]
    kept.results.keep(Results(asked, whole.cells[:1]))  # which is not all of it
    assert "Press <b>Evaluate</b>" in shown("Evaluate")["status"]
    key = kept.results.keep(whole)
    assert shown("Evaluate")["state"] == key and shown("Evaluate")["verdicts"] == "True"
    assert shown(tab.EVALUATING)["state"] == shown("Evaluate", key)["state"] == gr.skip()
    wrong = tab._linked(form, Asker.OPERATOR, {"eval-seeds": "<b>"}, "Evaluate", None)
    assert "seeds" in unescape(wrong[len(FIELDS) + 2]) and "<b>&lt;" not in wrong[len(FIELDS) + 2]


@pytest.mark.parametrize("value", [None, 3, ["a"], "x" * 5000, "no pairs at all", "%ff=%00"])
def test_what_a_browser_remembers_may_be_anything(form: Form, value: Any) -> None:
    found, _ = named(form, remembered(value))
    assert not found

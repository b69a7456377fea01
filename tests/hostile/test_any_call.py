"""Whatever is sent to an endpoint or an event of the page is answered, or refused in a sentence: no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpo.errors import UserError
from ddpo.runs.store import runs_root
from ddpo.training.config import TrainConfig, settings
from ddpo.training.recipes import make_config
from ddpo.ui import address, score
from ddpo.ui.api import comparing, evaluating, training
from ddpo.ui.compare import tab as compare_tab
from ddpo.ui.compare import views
from ddpo.ui.evaluate import tab as evaluate_tab
from ddpo.ui.shared.sentences import UNEXPECTED, sentence_for
from ddpo.ui.space.asker import Asker
from ddpo.ui.train import beginning, form, live, push
from ddpo.ui.train import tab as train_tab
from tests.helpers.asking import HERE
from tests.helpers.run_folders import make_run
from tests.hostile.values import anything, numbers, texts


@pytest.fixture(autouse=True, scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDPO_RUNS", str(root))
        patch.setenv("DDPO_EVALUATIONS", str(root / "evaluations"))
        patch.delenv("SPACE_ID", raising=False)
        patch.setattr(beginning, "start_process", lambda run, budget: 0)  # a process for each example would take hours
        make_run(root, "stopped", 2)
        yield root


def answered(call: Callable[[], Any]) -> Any:
    """The answer of a call; None where it was refused, once the refusal has been seen to be a sentence."""
    try:
        return call()
    except (gr.Error, UserError) as error:
        sentence = error.message if isinstance(error, gr.Error) else str(error)
        assert sentence != UNEXPECTED, error.__cause__
        assert sentence.rstrip().endswith((".", "!")) and len(sentence) < 3000, sentence
        assert "Traceback" not in sentence and 'File "' not in sentence
        return None


def first_of(events: Iterator[Any]) -> Any:
    with closing(events):  # type: ignore[type-var]
        return next(events)


COMPARE = ("pair", "scheduler", "steps", "eta", "samples", "seed", "scorer", "base", "tuned")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(COMPARE, anything)))
def test_compare(values: dict[str, Any]) -> None:
    answered(lambda: first_of(comparing.compare(**values, request=HERE)))


EVALUATE = ("pair", "models", "grid", "seeds", "seed", "eta", "scorers")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(EVALUATE, anything)))
def test_evaluate(values: dict[str, Any]) -> None:
    answered(lambda: first_of(evaluating.evaluate(**values, request=HERE)))


@given(st.lists(anything, min_size=13, max_size=13), st.booleans())
def test_the_evaluate_tab(values: list[Any], in_lists: bool) -> None:
    if in_lists:
        values[3], values[4], values[10] = ([value] for value in (values[3], values[4], values[10]))
    answered(lambda: evaluate_tab._told(HERE, None, *values))
    answered(lambda: list(islice(evaluate_tab._on_evaluate(HERE, None, *values), 2)))
    event: Any = SimpleNamespace(_data={"index": values[0]})
    answered(lambda: evaluate_tab._on_choose(values[1], event))


@given(st.one_of(st.none(), texts), anything)
def test_score(picture: str | None, scorer: Any) -> None:
    answered(lambda: comparing.score(picture, scorer))
    answered(lambda: score._on_score(picture, scorer, scorer, None))
    answered(lambda: score._cost(None, picture, scorer, "a", None))


@given(
    anything, anything, anything, anything, anything,
    st.one_of(anything, st.dictionaries(st.sampled_from([s.name for s in settings()]), anything, max_size=3)), anything,
)  # fmt: skip
def test_start_run(pair: Any, reward: Any, recipe: Any, number: Any, minutes: Any, values: Any, base: Any) -> None:
    """What is refused leaves no run behind."""
    before = set(runs_root().iterdir())
    for call in (
        lambda: training.start_run(pair, reward, recipe, number, None, None, minutes, values, base, request=HERE),
        lambda: training.start_run(settings=values, base=base, request=HERE),
        lambda: training.start_run(epochs=number, minutes=minutes, request=HERE),
    ):
        if answered(call) is None:
            assert set(runs_root().iterdir()) == before
        before = set(runs_root().iterdir())


@given(anything, anything, anything)
def test_the_other_endpoints_of_runs(run: Any, other: Any, limit: Any) -> None:
    for call in (
        lambda: training.run_status(run, other),
        lambda: training.stop_run(run, request=HERE),
        lambda: training.resume_run(run, other, request=HERE),
        lambda: training.list_runs(limit),
        lambda: training.rename_run(run, other, limit, request=HERE),
        lambda: training.delete_run(run, request=HERE),
    ):
        answer = answered(call)
        if answer is not None:
            json.dumps(answer, allow_nan=False)


@given(st.sampled_from([s.name for s in settings()]), anything)
def test_settings(name: str, value: Any) -> None:
    config = answered(lambda: make_config({name: value}))
    assert config is None or isinstance(config, TrainConfig)


@given(st.lists(anything, min_size=3, max_size=3), st.lists(anything, min_size=11, max_size=11))
def test_events_of_the_page(some: list[Any], values: list[Any]) -> None:
    one, two, three = some
    shown = live.Shown(run_id=two if isinstance(two, str) else None)
    event = SimpleNamespace(_data={"index": one, "run": two})
    for call in (
        lambda: live.look(two if isinstance(two, str) else None, one, live.Shown()),
        lambda: train_tab._on_epoch(one, shown),
        lambda: train_tab._on_choose(one, shown, event),  # type: ignore[arg-type]
        lambda: train_tab._on_stop(HERE, None, three, one, shown),
        lambda: train_tab._on_compare(shown, three),
        lambda: train_tab._on_tick(SimpleNamespace(_data={"ticked": one})),  # type: ignore[arg-type]
        lambda: train_tab._on_label(HERE, None, three, one, shown, one, two),
        lambda: train_tab._on_delete(HERE, None, three, one, shown, one),
        lambda: train_tab._on_use(HERE, shown),
        lambda: first_of(train_tab._on_download(HERE, shown)),
        lambda: push._on_plan(two if isinstance(two, str) else "", shown),
        lambda: compare_tab._on_choose(two if isinstance(two, str) else None, event),  # type: ignore[arg-type]
        lambda: compare_tab._on_pair(one),
        lambda: views.about_pair(one),
        lambda: compare_tab._about_scheduler(one),
        lambda: compare_tab._on_scheduler(one),
        lambda: compare_tab._cost(None, *values),
        lambda: first_of(compare_tab._on_compare(HERE, None, None, *values)),
        lambda: form._on_recipe(one),
        lambda: form._about_reward(one),
        lambda: form.told(HERE, None, *values[:7], *[three] * len(form.ORDER)),
    ):
        answered(call)


@given(st.dictionaries(st.sampled_from((*address.NAMES, "tab", "x")), texts))
def test_addresses(parameters: dict[str, str]) -> None:
    json.dumps(address.updates(Asker.OPERATOR, parameters, ["compare", "train"]), default=str)


@given(st.one_of(numbers, texts), st.text(max_size=200))
def test_whatever_goes_wrong_is_told_in_a_sentence(value: Any, text: str) -> None:
    for error in (ValueError(text), KeyError(value), RuntimeError("out of memory " + text), OSError(28, text)):
        sentence = sentence_for(error)
        assert sentence.endswith(".") and (len(text.strip()) < 20 or text not in sentence)

"""The endpoint /evaluate, with plain typed parameters.

Annotations are evaluated here (no `from __future__ import annotations`), as Gradio reads the types from them.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ddpo.common.files import finite
from ddpo.comparison.settings import MAX_SEED
from ddpo.diffusion.catalogue import PAIRS
from ddpo.evaluation.evaluate import CellDone
from ddpo.evaluation.export import as_json, write_report
from ddpo.evaluation.plan import DEFAULT_GRID, DEFAULT_SEEDS, FIRST_SEED, MAX_CELLS, MAX_SEEDS
from ddpo.evaluation.results import Results
from ddpo.ui.api import schemas, signature
from ddpo.ui.api.answers import Parameter
from ddpo.ui.api.comparing import ENDS, QUOTA, SCORER, document, parameter
from ddpo.ui.evaluate import asking, storage
from ddpo.ui.evaluate.run import Seldom, follow
from ddpo.ui.shared.events import EVALUATES
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.space import permission
from ddpo.ui.space.asker import who

EVALUATE = (
    "Measures whether models are better than their base: draws the same seeds with every model, scheduler and number "
    "of steps, scores them with several scorers, and judges each model in words (better, better at a price, no "
    "difference shown, worse, hacked, collapsed). Returns two things: a report as one HTML file, and a JSON with "
    "target, cells (scores, seconds and network evaluations a picture, measures of diversity), comparisons (for each "
    "model, scheduler and number of steps: gains with 95% intervals and corrected p-values, and the verdict with its "
    "sentence), and cheapest_as_good. Every parameter has a default. One evaluation computes at a time, and "
    "comparisons have a turn between its parts. Until it is done, `generating` events tell the stage, step, total and "
    "seconds_left, and after a cell all cells and comparisons so far. What is finished is kept: the same call, after a "
    f"cancel, goes on where it was. {ENDS} {QUOTA}"
)


def build() -> None:
    """Add the endpoint to the page that is being built; it does not show there."""
    inputs = _inputs()
    outputs = [
        signature.pictures("report", "The report as one HTML file; `url` is where to download it."),
        signature.answer(schemas.EVALUATION),
    ]
    document(evaluate, EVALUATE, inputs)
    trigger = gr.Button(visible=False)
    trigger.click(evaluate, inputs, outputs, api_name="evaluate", api_description=EVALUATE, **EVALUATES)


def _inputs() -> list[Parameter]:
    """What /evaluate takes, in the order of its parameters."""
    pairs = f"Name of a model pair: {', '.join(PAIRS)}, or run:<id> of a finetuning run; null: what the page begins "
    return [
        parameter(
            str | None, None, "Model pair", f"{pairs}with, or none where `models` has two or more.",
            example="church-64",
        ),
        parameter(
            dict[str, str] | None, None, "Models",
            "More models, name to owner/name on the Hub (@revision), run:<id>, name of a pair (its finetuned one) or a "
            "folder (on the app's own machine only). Without a pair, the first is the base of the others. null: none.",
            example={"mine": "run:<id>"},
        ),
        parameter(
            list[str], [DEFAULT_GRID], "Grid",
            f"Schedulers with their steps, as in ddim:8,20,50; a name alone takes its default. At most {MAX_CELLS} "
            "cells of a model each.",
        ),
        parameter(int, DEFAULT_SEEDS, "Seeds", f"How many, 2 to {MAX_SEEDS}; 16 or more for measures of diversity."),
        parameter(int, FIRST_SEED, "First seed", f"0 to {MAX_SEED}. Training never draws the first ones."),
        parameter(float, 0.0, "eta", "DDIM's share of noise, 0 to 1; other schedulers ignore it."),
        parameter(
            list[str] | None, None, "Scorers",
            f"The target first; photographic and colourfulness are always scored too. {SCORER} null: what the pair was "
            "finetuned on, where that can be used here.",
            example=["photographic"],
        ),
    ]  # fmt: skip


def evaluate(
    pair: str | None = None,
    models: dict[str, str] | None = None,
    grid: list[str] = [DEFAULT_GRID],  # noqa: B006 (Gradio shows it as the default, and nothing changes it)
    seeds: int = DEFAULT_SEEDS,
    seed: int = FIRST_SEED,
    eta: float = 0.0,
    scorers: list[str] | None = None,
    request: gr.Request | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio recognises it by this default)
) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """See EVALUATE. A generator, since those are what Gradio closes when a client cancels or goes away."""
    with sentences("Cannot evaluate", for_page=False), tempfile.TemporaryDirectory() as folder:
        asker = who(request)
        evaluation = asking.make(
            asker, pair=pair, models=models, grid=grid, seeds=seeds, seed=seed, eta=eta, scorers=scorers
        )
        results, seldom = Results(evaluation, []), Seldom()
        far: dict[str, Any] = {"stage": "", "step": 0, "total": 0, "seconds_left": None}
        for event in follow(evaluation, permission.most_pixel_steps(asker)):
            if isinstance(event, CellDone):
                results = event.results
                if seldom.is_due() and not results.is_complete:
                    with seldom.doing():
                        answer = {**far, **_answer(results)}
                    yield [], answer
            else:
                progress((event.step, event.total or None), desc=event.stage)
                far = {
                    "stage": event.stage, "step": event.step, "total": event.total, "seconds_left": event.seconds_left
                }  # fmt: skip
                yield [], far
        yield [str(write_report(results, storage.store(), Path(folder)))], _answer(results)


def _answer(results: Results) -> dict[str, Any]:
    """As `results.json` of the command line, with the arguments that ask for it again."""
    return finite({"settings": dict(results.evaluation.asked), **as_json(results)})

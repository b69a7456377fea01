"""The controls of the Evaluate tab, and the evaluation that they ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ddpo import rewards
from ddpo.common.machine import on_space
from ddpo.common.words import shown
from ddpo.comparison import first_choice
from ddpo.diffusion import schedulers
from ddpo.diffusion.catalogue import PAIRS
from ddpo.errors import UserError
from ddpo.evaluation.plan import DEFAULT_SEEDS, FIRST_SEED, Evaluation
from ddpo.runs.pairs import OWN, all_pairs, epoch_pairs, get_pair, run_pairs
from ddpo.ui.evaluate import asking
from ddpo.ui.shared import scorer_fields
from ddpo.ui.shared.events import QUICK
from ddpo.ui.shared.inputs import OpenDropdown, OpenNumber, OpenSlider
from ddpo.ui.space.asker import Asker

MOST_SEEDS = 256  # on the slider; the field beside it takes more
SCHEDULERS, STEPS = ("ddim", "dpm-solver++"), "12, 50"  # enough to see that fewer steps may do


@dataclass(frozen=True)
class Form:
    """The controls; `values` lists them in the order in which handlers get them and `read` takes them."""

    pair: OpenDropdown
    base: gr.Textbox
    tuned: gr.Textbox
    others: OpenDropdown
    schedulers: OpenDropdown
    steps: gr.Textbox
    seeds: OpenSlider
    scorer: OpenDropdown
    like: gr.Textbox
    unlike: gr.Textbox
    also: OpenDropdown
    seed: OpenNumber
    eta: OpenSlider
    power: gr.HTML  # what so many seeds can show

    @property
    def values(self) -> list[Any]:
        """All controls."""
        return [getattr(self, name) for name in FIELDS]


FIELDS = tuple(name for name in Form.__dataclass_fields__ if name != "power")


def build() -> Form:
    """Lay the controls out and connect them with each other."""
    first, hint = first_choice.choose(), "owner/name" if on_space() else "owner/name, or a folder"
    with gr.Group(elem_id="evaluate-settings"):
        pair = OpenDropdown(pairs(), value=first.pair, label="Model pair", elem_id="evaluate-pair")
        base = gr.Textbox(label="Base", placeholder=hint, visible=False, elem_id="evaluate-base")
        tuned = gr.Textbox(label="Finetuned", placeholder=hint, visible=False, elem_id="evaluate-tuned")
        others = OpenDropdown(
            other_models(), value=[], multiselect=True, allow_custom_value=True, label="More models (may be empty)",
            info=f"Runs, other pairs' finetuned models, epochs of runs, or type: {hint}.", elem_id="evaluate-others",
        )  # fmt: skip
        listed = [(spec.title, spec.name) for spec in schedulers.SCHEDULERS.values()]
        chosen = OpenDropdown(
            listed, value=list(SCHEDULERS), multiselect=True, label="Noise schedulers", elem_id="evaluate-schedulers"
        )
        steps = gr.Textbox(STEPS, label="Steps of each, with commas between", elem_id="evaluate-steps")
        seeds = OpenSlider(2, MOST_SEEDS, DEFAULT_SEEDS, step=1, label="Seeds", elem_id="evaluate-seeds")
        power = gr.HTML(elem_id="evaluate-power")
        scorer, like, unlike = scorer_fields.build("evaluate", first_choice.scorer(first.pair))
    with gr.Accordion("More settings", open=False, elem_id="evaluate-more"), gr.Group():
        also = OpenDropdown(
            rewards.choices(), value=[], multiselect=True, label="More scorers", elem_id="evaluate-also",
            info="Photographic quality and colourfulness are always scored too.",
        )  # fmt: skip
        seed = OpenNumber(FIRST_SEED, label="First seed", precision=0, min_width=80, elem_id="evaluate-seed")
        eta = OpenSlider(0, 1, 0, step=0.05, label="Noise share eta of DDIM", elem_id="evaluate-eta")
    pair.change(_on_pair, pair, [base, tuned], **QUICK)
    pair.input(lambda name: first_choice.scorer(str(name)), pair, scorer, **QUICK)
    return Form(pair, base, tuned, others, chosen, steps, seeds, scorer, like, unlike, also, seed, eta, power)


def pairs() -> list[tuple[str, str]]:
    """The pairs that can be chosen, which grow with every run that is finished."""
    return [(pair.title, pair.name) for pair in (*all_pairs(), get_pair(OWN))]


def other_models() -> list[tuple[str, str]]:
    """The finetuned models that can be evaluated beside those of a pair."""
    return [(pair.title, pair.name) for pair in (*run_pairs(), *PAIRS.values(), *epoch_pairs())]


def read(asker: Asker, values: Sequence[Any]) -> Evaluation:
    """The evaluation that the values of `Form.values` ask for.

    Raises:
        UserError: a value is not acceptable, or a model is a folder that this asker may not name.
    """
    given = dict(zip(FIELDS, values, strict=True))
    target = scorer_fields.full_name(given["scorer"], given["like"], given["unlike"])
    scorers = [*([] if target is None or target == "" else [target]), *_list("scorers", given["also"])]
    return asking.make(
        asker,
        pair=given["pair"],
        models=_models(given),
        grid=_grid(given["schedulers"], given["steps"]),
        seeds=given["seeds"],
        seed=given["seed"],
        eta=given["eta"],
        scorers=scorers,
    )


def _models(given: dict[str, Any]) -> dict[str, Any]:
    """The models that are named, by what they are called. Those that were typed for another pair do not count."""
    found: dict[str, Any] = {}
    if given["pair"] == OWN:
        found = {name: given[name] for name in ("base", "tuned")}
        if not all(found.values()):
            raise UserError("Give both models, the base and the finetuned one, each as a folder or an id on the Hub.")
    for source in _list("models", given["others"]):
        if not isinstance(source, str):
            raise UserError(f"A model must be given as text, and {shown(source)} is not.")
        found[asking.called(source, ["base", "tuned", *found])] = source.strip()
    return found


def _grid(names: Any, steps: Any) -> list[str]:
    """Every scheduler with every number of steps."""
    if not isinstance(steps, str) or not (numbers := re.findall(r"[^\s,;]+", steps)):
        raise UserError("Give the numbers of steps with commas between them, as in 12, 50.")
    chosen = _list("schedulers", names)
    if not chosen:
        raise UserError("Choose at least one noise scheduler.")
    return [f"{name}:{','.join(numbers)}" if isinstance(name, str) else name for name in chosen]


def _list(what: str, value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise UserError(f"The {what} must be given as a list, and {shown(value)} is not one.")
    return value


def _on_pair(name: Any) -> tuple[Any, Any]:
    own = gr.update(visible=name == OWN)
    return own, own

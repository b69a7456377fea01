"""What to evaluate, from what came over the network: checked, and with the rights of who asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ddpo.common.words import is_finite, shown
from ddpo.comparison import first_choice
from ddpo.comparison.settings import LONGEST_TEXT
from ddpo.errors import UserError
from ddpo.evaluation.plan import (
    DEFAULT_GRID,
    DEFAULT_SEEDS,
    FIRST_SEED,
    MAX_CELLS,
    Evaluation,
    is_name_of_pair,
    make_evaluation,
)
from ddpo.runs.pairs import OWN, RUN
from ddpo.ui.space import permission
from ddpo.ui.space.asker import Asker


def make(
    asker: Asker,
    *,
    pair: Any = None,
    models: Any = None,
    grid: Any = None,
    seeds: Any = None,
    seed: Any = None,
    eta: Any = None,
    scorers: Any = None,
) -> Evaluation:
    """An evaluation from values of any kind; None and "" are the defaults, whole floats are whole numbers.

    Args:
        asker: who asks for it.
        pair: name of a pair; None: what the page begins with, or none where `models` has two or more.
        models: more models, name to source: an id, a folder, "run:<id>" or a pair's name.
        grid: list of "scheduler:steps,steps".
        seeds: how many.
        seed: the first.
        eta: DDIM's share of noise.
        scorers: list of names, the target first.

    Raises:
        UserError: a value is not acceptable, or a model is a folder that this asker may not name.
    """
    named = _models(models, asker)
    if pair is not None and not isinstance(pair, str):
        raise UserError(f"The pair must be given as text, and {shown(pair)} is not.")
    if pair == OWN and len(named) < 2:
        raise UserError("Give both models, the base and the finetuned one, each as a folder or an id on the Hub.")
    if not pair and len(named) < 2:
        pair = first_choice.choose().pair
    noise = 0.0 if eta is None or eta == "" else eta
    if not is_finite(noise):
        raise UserError(f"eta must be a finite number, and {shown(noise)} is not one.")
    return make_evaluation(
        pair="" if pair == OWN or pair is None else pair,
        models=named,
        grid=_texts("The grid", grid) or (DEFAULT_GRID,),
        seeds=_whole(seeds, DEFAULT_SEEDS),
        seed=_whole(seed, FIRST_SEED),
        eta=noise,
        scorers=_texts("The scorers", scorers),
    )


def called(source: str, taken: Sequence[str]) -> str:
    """What to call a model that was given without a name: after its run, id or folder, and unlike the others."""
    words = source.removeprefix(RUN) if source.startswith(RUN) else source.rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^\w .+-]+", "-", words).strip(" .+-")[:36] or "model"
    number = 2
    while (numbered := name if name not in taken else f"{name} {number}") in taken:
        number += 1
    return numbered


def _models(models: Any, asker: Asker) -> dict[str, str]:
    if models is None or models == "":
        return {}
    if not isinstance(models, Mapping):
        raise UserError(f'The models must be given by name, as in {{"mine": "owner/name"}}, not {shown(models)}.')
    for name, source in models.items():
        if not isinstance(source, str) or not source or "\0" in source or len(source) > LONGEST_TEXT:
            raise UserError(f"The folder or id of the model {shown(name)} cannot be one: {shown(source)}.")
        if not is_name_of_pair(source):
            permission.check_source(source, asker)
    return dict(models)


def _texts(what: str, values: Any) -> list[str]:
    if values is None or values == "":
        return []
    if not isinstance(values, list | tuple) or len(values) > MAX_CELLS:
        raise UserError(f"{what} must be a list of names, and {shown(values)} is not one.")
    for value in values:
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise UserError(f"{what} must be a list of names, and {shown(value)} cannot be one of them.")
    return list(values)


def _whole(value: Any, default: int) -> Any:
    """4.0 is 4, as numbers that went through JavaScript may be floats; anything else stays what it is."""
    if value is None or value == "":
        return default
    return int(value) if isinstance(value, float) and is_finite(value) and value == int(value) else value

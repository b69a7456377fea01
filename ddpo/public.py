"""The public face: comparing, scoring, training and loading, a call each. These names are promised; all else may move.

`ddpo/__init__.py` offers them without importing anything that is slow. docs/api.md has an example of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.settings import ComparisonSettings
from ddpo.diffusion.catalogue import DEFAULT_PAIR
from ddpo.errors import UserError
from ddpo.runs.pairs import get_pair as get_pair
from ddpo.runs.store import Run

if TYPE_CHECKING:
    from PIL.Image import Image

    from ddpo.diffusion.models import DiffusionModel
    from ddpo.diffusion.precision import PrecisionName
    from ddpo.training.events import StepDone


def compare(
    pair: str = DEFAULT_PAIR, *, on_progress: Callable[[Progress], None] | None = None, **settings: Any
) -> ComparisonResult:
    """Draw the same seeds with a base model and its finetuned version, and score every picture.

    Args:
        pair: name of a pair (`church-64`, `church-256`, `run:<id>`, ...), or "own" with `base=` and `tuned=`.
        on_progress: told of every step.
        **settings: the other fields of `ComparisonSettings`: scheduler, steps, eta, samples, seed, scorer, base, tuned,
            precision.

    Returns:
        Pictures, scores and paired statistics, in the order of the seeds; `sentence` says how sure they are.

    Raises:
        UserError: a setting is not acceptable, a model or the scorer cannot be had, or they do not fit together.
    """
    from ddpo.comparison import compare as engine

    try:
        chosen = ComparisonSettings(pair=pair, **settings)
    except TypeError as error:
        fields = ", ".join(ComparisonSettings.__dataclass_fields__)
        raise UserError(f"compare takes {fields}, and not all of {', '.join(settings)}.") from error
    for event in engine.compare(chosen):
        if isinstance(event, ComparisonResult):
            return event
        if on_progress is not None:
            on_progress(event)
    raise AssertionError("a comparison ends with its result")


def score(pictures: Image | Sequence[Image], scorer: str = "photographic") -> list[float]:
    """The scores of pictures of any size, in their order.

    Args:
        pictures: one, or several.
        scorer: name of a scorer (`photographic`, `laion-v2`, `prompt:a sunny day`, ...), or "module:function" of your
            own.

    Raises:
        UserError: there is no such scorer, its weights cannot be had, or it cannot score a picture.
    """
    from ddpo.comparison.compare import picture_scorer

    score_one = picture_scorer(scorer, own_functions=True)
    return [score_one(picture) for picture in (pictures if isinstance(pictures, Sequence) else [pictures])]


def train(
    pair: str | None = None,
    *,
    base: str | None = None,
    reward: str | None = None,
    recipe: str = "quick",
    root: str | Path | None = None,
    time_budget: float | None = None,
    on_step: Callable[[StepDone], None] | None = None,
    **settings: Any,
) -> Run:
    """Finetune a base model on a reward in this process; Ctrl-C stops after a step, and everything is saved.

    Args:
        pair: name of the pair whose base is finetuned; None is church-64's, unless `base` is given.
        base: folder or Hub id of another base.
        reward: name of a scorer, or "module:function" of your own; None is the pair's.
        recipe: name of a recipe; quick, fast and short, for example.
        root: folder of the runs; None is $DDPO_RUNS, or `runs` here.
        time_budget: seconds after which it stops and saves.
        on_step: told of every step.
        **settings: fields of `TrainConfig` that replace the recipe's.

    Returns:
        The run: `run.result` is the finetuned model's folder, `compare(f"run:{run.id}")` compares it with its base
        where `root` is $DDPO_RUNS or left out.

    Raises:
        UserError: a setting is not acceptable, the model or the reward cannot be had, or training failed.
        Busy: another run trains in that folder.
    """
    from ddpo.runs.specs import found_anywhere, make_spec
    from ddpo.runs.store import check_idle, create_run, runs_root
    from ddpo.runs.worker import carry_out

    folder = Path(root) if root else runs_root()
    spec = found_anywhere(make_spec(pair, base, reward, recipe, settings))
    check_idle(folder)
    run = create_run(folder, spec)
    carry_out(run, time_budget, on_step=on_step)
    return run


def load_model(source: str, *, precision: PrecisionName | None = None, device: str | None = None) -> DiffusionModel:
    """A model in either layout of diffusers, ready to sample from.

    Args:
        source: folder, or name on the Hub ("owner/name", "owner/name@revision"); `get_pair("church-64").base` is the
            bundled base.
        precision: "float32" or "bfloat16"; None takes what the hardware is quick at.
        device: a torch device; None takes a GPU where there is one.

    Raises:
        UserError: there is no such model, or it is no unconditional UNet2DModel of RGB pictures.
    """
    from ddpo.diffusion import models
    from ddpo.diffusion.precision import choose_compute

    return models.load_model(source, choose_compute(precision, device))

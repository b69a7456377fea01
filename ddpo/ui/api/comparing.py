"""The three endpoints for other programs: /compare, /score and /models, with plain typed parameters.

Annotations are evaluated here (no `from __future__ import annotations`), as Gradio reads the types from them.
"""

import inspect
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import python_type_to_json_schema

from ddpo import rewards
from ddpo.comparison import files, first_choice
from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.settings import DEFAULT_SAMPLES, MAX_SAMPLES, MAX_SEED
from ddpo.diffusion import schedulers
from ddpo.diffusion.catalogue import PAIRS, Pair
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs.pairs import all_pairs
from ddpo.ui.api import schemas, signature
from ddpo.ui.api.answers import Parameter
from ddpo.ui.compare.run import follow, make_settings
from ddpo.ui.shared.events import COMPARES, SCORES
from ddpo.ui.shared.inputs import Upload
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.shared.uploads import open_upload
from ddpo.ui.space import permission, scoring
from ddpo.ui.space.asker import Asker, who

ENDS = (
    'Over HTTP the stream of events ends with `complete` and a list of what is returned, or with `error` and {"error": '
    "a sentence that says what to change}; a `heartbeat` means nothing."
)
QUOTA = "On a Space with ZeroGPU the GPU time is the caller's: send the header `Authorization: Bearer <your token>`."
COMPARE = (
    "Draws the same seeds with a base model and with its DDPO-finetuned version, scores every picture and says how "
    "much better the second is and how sure that is. Returns three things: the PNGs of the base model, the PNGs of "
    "the finetuned one (both in the order of the seeds, each with a url to download; settings, seed and score are in "
    "their text chunks), and a JSON with settings, seeds, base_scores, tuned_scores, statistics (means, paired "
    "mean_difference with its 95% interval, win_rate), the sentence, seconds_per_image and compute. Every parameter "
    "has a default. The same arguments give the same pictures. One comparison computes at a time; others wait in the "
    "queue. Until it is done, `generating` events tell the stage, step, total and seconds_left. In Python, "
    "client.submit gives a job: job.status().progress_data tells the step, job.outputs() the states on the way, and "
    f"job.cancel() stops the computation. {ENDS} {QUOTA}"
)
SCORE = (
    "Scores one uploaded picture (PNG, JPEG, WebP). Returns a JSON with score, scorer, unit, range ([lowest, highest], "
    "null where there is no limit) and size ([width, height] as scored; sides over 2048 pixels are reduced to that "
    f"first). {ENDS} {QUOTA}"
)
PICTURE = (
    "A PNG, JPEG or WebP of at most 10 MB. Over HTTP: upload it to /gradio_api/upload, then give "
    '{"path": what that returned, "meta": {"_type": "gradio.FileData"}}; the path may also be a public http(s) '
    "address. In Python: handle_file(path or address)."
)
NO_PICTURE = (
    'No picture was uploaded; give image as {"path": ..., "meta": {"_type": "gradio.FileData"}}, where the path is '
    "what /gradio_api/upload returned or a public http(s) address."
)
MODELS = (
    "What can be asked for: the model pairs (finetuning runs with a result among them, as run:<id>; base, tuned, the "
    "reward, whether all files are on_this_machine, and cost: download_megabytes, memory_megabytes, seconds_per_image "
    "on a CPU, and which of these were measured), the noise schedulers (default_steps, min_steps, max_steps, whether "
    "they take eta), the scorers (range, unit, source; argument: what must follow the name and a colon; obstacle: why "
    "it cannot be used here), and the defaults. The names are those that /compare and /score take. Ask this first. "
    f"{ENDS}"
)
SCORER = (
    f"Name of a scorer: {', '.join(rewards.REWARDS)}; /models says which can be used here. prompt needs a sentence "
    "behind a colon, as in prompt:a sunny day|a grey day (the second one, to be unlike, may be left out)."
)
OWN_MODEL = "owner/name of a model on the Hub (@revision), or a folder (on the app's own machine only), in place of"


def build() -> None:
    """Add the endpoints to the page that is being built; none of them shows on it."""
    inputs = _compare_inputs()
    outputs = [
        signature.pictures(
            "base", "PNGs of the base model, in the order of the seeds; `url` is where to download each."
        ),
        signature.pictures("tuned", "PNGs of the finetuned model, in the same order."),
        signature.answer(schemas.COMPARISON),
    ]
    trigger = gr.Button(visible=False)
    document(compare, COMPARE, inputs)
    trigger.click(compare, inputs, outputs, api_name="compare", api_description=COMPARE, **COMPARES)
    picture = Upload(label="Picture", type="filepath", visible=False)
    picture.about = PICTURE
    scorer = parameter(str, "photographic", "Scorer", SCORER)
    verdict = signature.answer(schemas.SCORE)
    document(score, SCORE, [picture, scorer])
    trigger.click(score, [picture, scorer], verdict, api_name="score", api_description=SCORE, **SCORES)
    document(models, MODELS, [])
    listing = signature.answer(schemas.MODELS)
    trigger.click(models, [], listing, api_name="models", api_description=MODELS, concurrency_limit=None)


def _compare_inputs() -> list[Parameter]:
    """What /compare takes, in the order of its parameters."""
    pairs = f"Name of a model pair: {', '.join(PAIRS)}, run:<id> of a finetuning run, or own with base and tuned."
    return [
        parameter(str, first_choice.choose().pair, "Model pair", pairs),
        parameter(str, "ddim", "Noise scheduler", "Name of a noise scheduler.", choices=schedulers.SCHEDULERS),
        parameter(
            int | None,
            None,
            "Steps",
            f"Denoising steps, 1 (pndm: 4) to {schedulers.MAX_STEPS}; null: the scheduler's default, 1000 for ddpm and "
            "50 for others.",
            example=50,
        ),
        parameter(float, 0.0, "eta", "DDIM's share of noise, 0 to 1; other schedulers ignore it."),
        parameter(
            int,
            DEFAULT_SAMPLES,
            "Samples",
            f"Pictures of each model, 1 to {MAX_SAMPLES}, from seeds seed, seed + 1, ... (0 follows on the largest)",
        ),
        parameter(int, 0, "First seed", f"0 to {MAX_SEED}."),
        parameter(
            str | None,
            None,
            "Scorer",
            f"{SCORER} null: what the pair was finetuned on, where that can be used here.",
            example="photographic",
        ),
        parameter(str | None, None, "Base", f"{OWN_MODEL} the pair's base; null: the pair's."),
        parameter(str | None, None, "Tuned", f"{OWN_MODEL} the pair's finetuned one; null: the pair's."),
    ]


def parameter(
    hint: Any, default: Any, label: str, description: str, example: Any = None, choices: Iterable[str] = ()
) -> Parameter:
    """A typed parameter without a component on the page.

    Args:
        hint: its type.
        default: taken where a program gives nothing.
        label: its name for people.
        description: what it does, its range, and what null means.
        example: a value that can be sent as it is; None: the default.
        choices: the only values that it takes.
    """
    schema = {**python_type_to_json_schema(hint), "additional_description": description}
    if choices:
        schema["enum"] = list(choices)
    return signature.parameter(default, schema, label, example)


def document(function: Callable[..., Any], text: str, inputs: Sequence[gr.components.Component]) -> None:
    """Put what an endpoint and its parameters are into its docstring, where tools for language models find it."""
    about = [component.api_info()["additional_description"] for component in inputs]
    lines = [f"    {name}: {what}" for name, what in zip(inspect.signature(function).parameters, about, strict=False)]
    function.__doc__ = "\n".join([text, "", "Args:", *lines] if lines else [text])


def compare(
    pair: str | None = None,
    scheduler: str = "ddim",
    steps: int | None = None,
    eta: float = 0.0,
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    scorer: str | None = None,
    base: str | None = None,
    tuned: str | None = None,
    request: gr.Request | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio recognises it by this default)
) -> Iterator[tuple[list[str], list[str], dict[str, Any]]]:
    """See COMPARE. A generator, since those are what Gradio closes when a client cancels or goes away."""
    with sentences("Cannot compare", for_page=False), tempfile.TemporaryDirectory() as folder:
        asker = who(request)
        settings = make_settings(
            asker, pair=pair, scheduler=scheduler, steps=steps, eta=eta, samples=samples, seed=seed, scorer=scorer,
            base=base, tuned=tuned,
        )  # fmt: skip
        for event in follow(settings, permission.most_pixel_steps(asker)):
            if isinstance(event, ComparisonResult):
                before, after = files.write_pngs(event, Path(folder))
                yield [str(p) for p in before], [str(p) for p in after], event.to_dict()
            else:
                progress((event.step, event.total or None), desc=event.stage)
                state = {"stage": event.stage, "step": event.step, "total": event.total}
                yield [], [], {**state, "seconds_left": event.seconds_left}


def score(image: str | None, scorer: str = "photographic") -> dict[str, Any]:
    """See SCORE."""
    with sentences("Cannot score", for_page=False):
        spec = rewards.get(scorer)
        if image is None:
            raise UserError(NO_PICTURE)
        picture = open_upload(image)
        return {
            "score": scoring.score(picture, scorer),
            "scorer": spec.name,
            "unit": spec.unit,
            "range": _range(spec.value_range),
            "size": list(picture.size),
        }


def models(request: gr.Request | None = None) -> dict[str, Any]:
    """See MODELS."""
    return {
        "pairs": [_pair_facts(pair) for pair in all_pairs()],
        "schedulers": [
            {
                "name": spec.name,
                "title": spec.title,
                "description": spec.description,
                "default_steps": spec.default_steps,
                "min_steps": spec.min_steps,
                "max_steps": schedulers.MAX_STEPS,
                "takes_eta": spec.takes_eta,
            }
            for spec in schedulers.SCHEDULERS.values()
        ],
        "scorers": [
            {
                "name": spec.name,
                "title": spec.title,
                "description": spec.description,
                "source": spec.source,
                "range": _range(spec.value_range),
                "unit": spec.unit,
                "argument": spec.argument,
                "obstacle": spec.obstacle(),
            }
            for spec in rewards.REWARDS.values()
        ],
        "defaults": {
            "pair": first_choice.choose().pair,
            "why": first_choice.choose().reason,
            "scheduler": "ddim",
            "samples": DEFAULT_SAMPLES,
            "scorer": first_choice.scorer(first_choice.choose().pair),
        },
        "local_folders": who(request) is Asker.OPERATOR,
    }


def _pair_facts(pair: Pair) -> dict[str, Any]:
    return {
        "name": pair.name,
        "title": pair.title,
        "description": pair.description,
        "base": ids.short_name(pair.base),
        "tuned": ids.short_name(pair.tuned),
        "reward": pair.reward,
        "sample_size": pair.sample_size,
        "on_this_machine": not pair.missing,
        "cost": asdict(pair.cost) if pair.cost else None,
    }


def _range(limits: tuple[float, float]) -> list[float | None]:
    """JSON has no infinity; None stands for no limit."""
    return [limit if math.isfinite(limit) else None for limit in limits]

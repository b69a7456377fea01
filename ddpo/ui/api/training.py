"""Finetuning for other programs: runs are started, stopped, resumed, listed, named and deleted.

Annotations are evaluated here (no `from __future__ import annotations`), as Gradio reads the types from them.
"""

from typing import Any

import gradio as gr

from ddpo.common.words import is_finite, shown
from ddpo.diffusion.catalogue import DEFAULT_PAIR, PAIRS
from ddpo.errors import UserError
from ddpo.runs import followed, store
from ddpo.training.config import settings
from ddpo.training.recipes import RECIPES
from ddpo.ui.api import schemas
from ddpo.ui.api.answers import Parameter
from ddpo.ui.api.comparing import ENDS, QUOTA, SCORER, document, parameter
from ddpo.ui.api.signature import answer
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.space import asker, permission
from ddpo.ui.train import actions

STATUS = (
    "id, name and note (texts or null), created, state (queued, starting, running, stopping, stopped, finished, failed "
    "or interrupted), queue (place and seconds of one that waits, or null), pair, base, reward, recipe, "
    "epoch and epochs, step and steps, seconds, seconds_left, error and notice (a sentence or null), metrics "
    "(of the last epoch: reward_mean, reward_std, reward_quantiles, kl, clip_fraction, grad_norm, diversity, ...), "
    "diagnosis (verdict, title and sentence), and result (run:<id>, a model pair for /compare, once there is one), "
    "kept_epochs (with run:<id>@<epoch> as their pairs)"
)
PERMISSION = (
    "Where only the owner of the Space may finetune, programs are refused: a token does not sign them in, so the owner "
    "uses the page. Elsewhere only programs on the app's own machine may, unless it lets everybody."
)
OWNERS = "Only who runs the app may: its owner on a Space, elsewhere programs on the app's own machine."
WAIT = "Whether the run takes its turn where another trains; false: it is refused then."
START_RUN = (
    "Starts finetuning a base model on a reward; it goes on when the caller is gone. "
    "One run trains at a time; another is refused with the time that it has to wait, or takes its turn with wait. "
    f"Returns at once: {STATUS}. "
    f"Ask /run_status every few seconds how far it is. {PERMISSION} {ENDS} {QUOTA}"
)
RUN_STATUS = f"Where a run stands. Without an id: the run that trains, else the newest. Returns {STATUS}. {ENDS}"
STOP_RUN = (
    "Asks a run to stop after its step; it then saves, writes its result, and can be resumed. Returns at once, with "
    f"the state stopping, what /run_status returns. {PERMISSION} {ENDS}"
)
RESUME_RUN = (
    "Goes on with a run that was stopped, failed or was interrupted, from its last checkpoint; nothing is computed "
    f"twice that was saved. Returns at once what /run_status returns. {PERMISSION} {ENDS} {QUOTA}"
)
RENAME_RUN = (
    "Gives a run a name and a note, which the page shows; null leaves either as it is, and an empty text takes it "
    f"away. Returns what /run_status returns. {OWNERS} {ENDS}"
)
DELETE_RUN = (
    "Deletes a run with its checkpoints and its result, which cannot be had back. One that trains is refused. Returns "
    f"the id of what was deleted. {OWNERS} {ENDS}"
)
LIST_RUNS = f"All runs, the newest first. Returns a list of: {STATUS}. {ENDS}"
RUN = "Id of a run, see /list_runs; null: the run that trains, else the newest."
MINUTES = (
    "After so many minutes, above 0, the run stops by itself and can be resumed; null: no limit, or the longest that "
    "is allowed here."
)
OTHERS = (
    'Other settings by name, as in {"seed": 1, "batch_size": 8}; null: the recipe\'s. There are '
    f"{', '.join(setting.name for setting in settings())}."
)


def build() -> None:
    """Add the endpoints to the page that is being built; none of them shows on it."""
    trigger = gr.Button(visible=False)
    run = parameter(str | None, None, "Run", RUN)
    history = parameter(bool, False, "History", "Whether to return the figures of every epoch as `history`.")
    minutes = parameter(float | None, None, "Minutes", MINUTES, example=5)
    wait = parameter(bool, False, "Wait", WAIT)
    name = parameter(str | None, None, "Name", "At most 80 characters; null: as it is.", example="warm evenings")
    note = parameter(str | None, None, "Note", "At most 2,000 characters; null: as it is.", example="Fog stays fog.")
    one = parameter(str | None, None, "Run", "Id of a run, see /list_runs; null is refused.")
    limit = parameter(int, 50, "Limit", "The most runs to return, at least 1.")
    for function, inputs, text, schema in (
        (start_run, _start_parameters(), START_RUN, schemas.RUN),
        (run_status, [run, history], RUN_STATUS, schemas.RUN),
        (stop_run, [run], STOP_RUN, schemas.RUN),
        (resume_run, [run, minutes, wait], RESUME_RUN, schemas.RUN),
        (rename_run, [one, name, note], RENAME_RUN, schemas.RUN),
        (delete_run, [one], DELETE_RUN, schemas.DELETED),
        (list_runs, [limit], LIST_RUNS, schemas.RUNS),
    ):
        document(function, text, inputs)
        result = answer(schema)
        trigger.click(function, inputs, result, api_name=function.__name__, api_description=text, queue=False)


def _start_parameters() -> list[Parameter]:
    return [
        parameter(str, DEFAULT_PAIR, "Model pair", f"Name of the pair whose base is finetuned: {', '.join(PAIRS)}."),
        parameter(str, "photographic", "Reward", SCORER),
        parameter(str, "quick", "Recipe", "Settings that are known to work.", choices=RECIPES),
        parameter(
            int | None, None, "Epochs", "Rounds of sampling and training, at least 1; null: the recipe's.", example=10
        ),
        parameter(float | None, None, "Learning rate", "Of AdamW, above 0; null: the recipe's.", example=1.5e-4),
        parameter(
            float | None, None, "KL weight", "How strongly to stay near the base, 0 or more; null: the recipe's.",
            example=0.05,
        ),
        parameter(float | None, None, "Minutes", MINUTES, example=5),
        parameter(dict[str, Any] | None, None, "Settings", OTHERS, example={"seed": 1}),
        parameter(
            str | None, None, "Base",
            "Another base in place of the pair's: owner/name on the Hub (@revision), or a folder (only for programs on "
            "the app's own machine); null: the pair's.",
        ),
        parameter(bool, False, "Wait", WAIT),
    ]  # fmt: skip


def start_run(
    pair: str = DEFAULT_PAIR,
    reward: str = "photographic",
    recipe: str = "quick",
    epochs: int | None = None,
    learning_rate: float | None = None,
    kl_weight: float | None = None,
    minutes: float | None = None,
    settings: dict[str, Any] | None = None,
    base: str | None = None,
    wait: bool = False,
    profile: gr.OAuthProfile | None = None,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """See START_RUN."""
    with sentences("Cannot start", for_page=False):
        who = asker.who(request, profile)
        permission.check_training(who)
        if settings is not None and not isinstance(settings, dict):
            raise UserError(f"The settings must be given by name, as in {{'seed': 1}}, and {shown(settings)} is not.")
        plain = {"epochs": epochs, "learning_rate": learning_rate, "kl_weight": kl_weight}
        values = {**(settings or {}), **{name: value for name, value in plain.items() if value is not None}}
        spec = actions.make_spec(who, pair, base, reward, recipe, values)
        return actions.facts(actions.start(spec, minutes, wait is True))


def run_status(run: str | None = None, history: bool = False) -> dict[str, Any]:
    """See RUN_STATUS."""
    with sentences("Cannot tell", for_page=False):
        return actions.facts(actions.need(run), history)


def stop_run(
    run: str | None = None, profile: gr.OAuthProfile | None = None, request: gr.Request | None = None
) -> dict[str, Any]:
    """See STOP_RUN."""
    with sentences("Cannot stop", for_page=False):
        permission.check_training(asker.who(request, profile))
        return actions.facts(actions.stop(actions.need(run)))


def resume_run(
    run: str | None = None,
    minutes: float | None = None,
    wait: bool = False,
    profile: gr.OAuthProfile | None = None,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """See RESUME_RUN."""
    with sentences("Cannot resume", for_page=False):
        permission.check_training(asker.who(request, profile))
        return actions.facts(actions.resume(actions.need(run), minutes, wait is True))


def rename_run(
    run: str | None = None,
    name: str | None = None,
    note: str | None = None,
    profile: gr.OAuthProfile | None = None,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """See RENAME_RUN."""
    with sentences("Cannot rename", for_page=False):
        permission.check_managing(asker.who(request, profile))
        return actions.facts(actions.label(_given(run), name, note))


def delete_run(
    run: str | None = None, profile: gr.OAuthProfile | None = None, request: gr.Request | None = None
) -> dict[str, Any]:
    """See DELETE_RUN."""
    with sentences("Cannot delete", for_page=False):
        permission.check_managing(asker.who(request, profile))
        doomed = _given(run)
        actions.delete(doomed)
        return {"deleted": doomed.id}


def _given(run: str | None) -> store.Run:
    """The run of an id; raises UserError where none is given, as nobody should change whichever is the newest."""
    if not run:
        raise UserError("Say which run: give its id, as /list_runs has it.")
    return actions.need(run)


def list_runs(limit: int = 50) -> list[dict[str, Any]]:
    """See LIST_RUNS."""
    with sentences("Cannot list", for_page=False):
        if not is_finite(limit) or limit < 1 or limit != int(limit):
            raise UserError(f"The limit must be a whole number of at least 1, and {shown(limit)} is not one.")
        return [actions.facts(run) for run in followed.all_runs(store.runs_root())[: int(limit)]]

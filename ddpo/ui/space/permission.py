"""What each who asks may do here: train, name folders, fetch and push results; and what a visitor may cost.

`asker` tells who it is. Every door of the page, the endpoints and the tools for language models asks here.
"""

from __future__ import annotations

import logging
import math
import os
from typing import Any

import gradio as gr

from ddpo.common.machine import on_space
from ddpo.common.words import is_finite, shown
from ddpo.diffusion.catalogue import PAIRS
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs.store import Run
from ddpo.ui.space.asker import Asker

logger = logging.getLogger("ddpo.ui")

MODES = ("off", "on", "owner")
HERE = "at the machine that runs this app, through http://localhost"
ANOTHER_SITE = "A page of another site asked for this, so it was not done; open this app in a window of its own."
ITS_OWN = frozenset((Asker.OPERATOR, Asker.OWNER))  # who runs the app, wherever it runs
MOST_MINUTES = 5_000_000  # ten years


def mode() -> str:
    """Who may train, from DDPO_TRAINING: "off" (nobody, there is no tab), "on" (everybody) or "owner".

    The owner is that of the Space, or who sits at the machine that runs the app. Without the variable it is "off" on a
    Space and "owner" elsewhere.
    """
    given = os.environ.get("DDPO_TRAINING", "").strip().lower() or ("off" if on_space() else "owner")
    if given not in MODES:
        logger.warning("DDPO_TRAINING must be one of %s, and %r is not: training is off.", ", ".join(MODES), given)
        return "off"
    return given


def check_training(asker: Asker) -> None:
    """Raises UserError where this one may not start, stop or resume runs."""
    if mode() == "off":
        raise UserError("Finetuning is switched off here; set DDPO_TRAINING=on where you run the app yourself.")
    if asker is Asker.WEBSITE:
        raise UserError(ANOTHER_SITE)
    if mode() == "on" or asker in ITS_OWN:
        return
    if on_space():
        raise UserError("Only the owner of this Space may finetune here; sign in as the owner, or duplicate the Space.")
    raise UserError(f"Finetuning works only {HERE}. Whoever runs it lets everybody train with DDPO_TRAINING=on.")


def check_managing(asker: Asker) -> None:
    """Raises UserError where this one may not name or delete runs: only who runs the app may, whoever may train."""
    if mode() == "off":
        return check_training(asker)
    if asker is Asker.WEBSITE:
        raise UserError(ANOTHER_SITE)
    if asker in ITS_OWN:
        return None
    if on_space():
        raise UserError("Only the owner of this Space may name or delete runs here; sign in as the owner.")
    raise UserError(f"Naming and deleting runs works only {HERE}.")


def check_source(source: str, asker: Asker) -> None:
    """Refuse a folder of this machine as a model, but to who sits at it.

    Raises:
        UserError: the source is a folder, or no id on the Hub, and may not be named.
    """
    if asker is Asker.OPERATOR or (ids.parse(source) is not None and not ids.is_folder(source)):
        return
    if on_space():
        raise UserError(
            "Folders work only where you run the app yourself, not on a Space; here, give ids of models on the Hub."
        )
    raise UserError(f"Folders work only {HERE}; from elsewhere, give ids of models on the Hub.")


def check_result(run: Run, asker: Asker) -> None:
    """Refuse the weights of a run that was made from a folder of this machine, but to who sits at it.

    Raises:
        UserError: the run's base is such a folder.
    """
    bundled = {pair.base for pair in PAIRS.values()}
    if asker is not Asker.OPERATOR and run.spec.base not in bundled and ids.is_folder(run.spec.base):
        raise UserError(f"The run {run.id} was made from a folder, so its result is handed out only {HERE}.")


def check_push(asker: Asker, token: gr.OAuthToken | None) -> None:
    """Refuse a push to who would push as somebody else.

    Args:
        asker: who asks.
        token: of their own sign-in.

    Raises:
        UserError: it would be pushed with the token of whoever runs the app, or by another site.
    """
    if asker is Asker.WEBSITE:
        raise UserError(ANOTHER_SITE)
    if token is not None or asker is Asker.OPERATOR:
        return
    if on_space():
        raise UserError("Sign in first: the result goes to a repository of yours on the Hub.")
    raise UserError(f"Pushing without a sign-in of your own works only {HERE}.")


def push_token(asker: Asker, token: gr.OAuthToken | None) -> str | None:
    """The visitor's own token, else the environment's for who sits at the machine; never that of a Space.

    Raises:
        UserError: as `check_push` does.
    """
    check_push(asker, token)
    return token.token if token is not None else os.environ.get("HF_TOKEN")


def most_pixel_steps(asker: Asker) -> float | None:
    """What a comparison may cost at most, from DDPO_MAX_COST: millions of pictures x steps x pixels; None: no limit.

    Who runs the app has no limit.

    Raises:
        UserError: the variable holds no number above 0.
    """
    return None if asker in ITS_OWN else number_from("DDPO_MAX_COST", "a number of million pixel steps above 0")


def longest_minutes() -> float | None:
    """The time budget that none may exceed, from DDPO_MAX_MINUTES; None where there is no such limit.

    Raises:
        UserError: the variable holds no number of minutes.
    """
    return number_from("DDPO_MAX_MINUTES", "a number of minutes above 0")


def number_from(variable: str, what: str) -> float | None:
    """A finite number above 0 from the environment; None where the variable is not set.

    Raises:
        UserError: it holds something else.
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(f"{variable} must be {what}, and {text!r} is not.")
    return number


def time_budget(minutes: Any) -> float | None:
    """Seconds that a run may take; None and "" are the longest time allowed, which may be no limit at all.

    Raises:
        UserError: it is no number of minutes above 0, or more than is allowed here.
    """
    longest = longest_minutes()
    if minutes is None or minutes == "":
        return None if longest is None else 60 * longest
    if not is_finite(minutes) or not 0 < minutes <= MOST_MINUTES:
        raise UserError(
            f"The time budget must be a number of minutes above 0 and at most {MOST_MINUTES:,}, and {shown(minutes)} "
            "is not one."
        )
    if longest is not None and minutes > longest:
        raise UserError(f"The time budget may be at most {longest:g} minutes here, and {minutes:g} is more.")
    return 60 * float(minutes)

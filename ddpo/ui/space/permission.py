"""Who may train here, and for how long: told by variables, and on a Space by who has signed in."""

from __future__ import annotations

import logging
import math
import os
from typing import Any

import gradio as gr

from ddpo.common.machine import on_space
from ddpo.common.words import is_finite, shown
from ddpo.errors import UserError
from ddpo.hub import ids

logger = logging.getLogger("ddpo.ui")

MODES = ("off", "on", "owner")
MOST_MINUTES = 5_000_000  # ten years


def mode() -> str:
    """Who may train: "off" (nobody, there is no tab), "on" (everybody) or "owner"; from DDPO_TRAINING.

    Without it everybody may on a machine of one's own and nobody on a Space.
    """
    given = os.environ.get("DDPO_TRAINING", "").strip().lower() or ("off" if on_space() else "on")
    if given not in MODES:
        logger.warning("DDPO_TRAINING must be one of %s, and %r is not: training is off.", ", ".join(MODES), given)
        return "off"
    return given


def is_owner(profile: gr.OAuthProfile | None) -> bool:
    """Whether a visitor who signed in is the owner of this Space."""
    owner = os.environ.get("SPACE_AUTHOR_NAME") or os.environ.get("SPACE_ID", "").partition("/")[0]
    return profile is not None and bool(owner) and profile.username == owner


def check_permission(profile: gr.OAuthProfile | None) -> None:
    """Raises UserError where this visitor may not start, stop or resume runs."""
    if mode() == "off":
        raise UserError("Finetuning is switched off here; set DDPO_TRAINING=on where you run the app yourself.")
    if mode() == "owner" and not is_owner(profile):
        raise UserError("Only the owner of this Space may finetune here; sign in as the owner, or duplicate the Space.")


def check_source(source: str) -> None:
    """Refuse a folder of this machine as a model where strangers ask for it.

    Raises:
        UserError: this is a Space, and the source is a folder, or no id on the Hub.
    """
    if on_space() and ids.parse(source) is None:
        raise UserError(
            "Folders work only where you run the app yourself, not on a Space; here, give ids of models on the Hub."
        )


def longest_minutes() -> float | None:
    """The time budget that none may exceed, from DDPO_MAX_MINUTES; None where there is no such limit.

    Raises:
        UserError: the variable holds no number of minutes.
    """
    text = os.environ.get("DDPO_MAX_MINUTES", "").strip()
    if not text:
        return None
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise UserError(f"DDPO_MAX_MINUTES must be a number of minutes above 0, and {text!r} is not.")
    return minutes


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

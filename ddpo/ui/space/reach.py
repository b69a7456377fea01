"""From where the app can be reached, and what those may do who reach it; in a sentence at the start."""

from __future__ import annotations

import os

from ddpo.common.machine import on_space
from ddpo.ui.space import front_door, permission

TRAINING = {
    "on": "Everybody may train, as DDPO_TRAINING=on.",
    "owner": "Training works only here.",
    "off": "Training is switched off.",
}


def sentence() -> str:
    """What is printed when the app starts."""
    mode = permission.mode()
    if on_space():
        who = {"on": "Everybody may train.", "owner": "Only the owner may train.", "off": "Nobody may train."}[mode]
        return (
            f"* A Space: everybody may compare and score; folders are out of reach, and pushing needs a sign-in. {who}"
        )
    if not is_reachable():
        return "* Only this machine is answered, and all that comes from it may train, name folders and push."
    return (
        "* Other machines can reach this app: whoever does may compare, score and look at runs. Folders as models, and "
        f"pushing with this machine's token, work only here, through http://localhost. {TRAINING[mode]}"
    )


def is_reachable() -> bool:
    """Whether an app that is no Space may be reached from elsewhere, as far as its settings tell."""
    shared = os.environ.get("GRADIO_SHARE", "").lower() == "true"
    return front_door.is_public() or shared or bool(os.environ.get("DDPO_HOSTS", "").strip())

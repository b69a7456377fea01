"""On somebody else's Space: how to have one's own, on hardware of one's own. Elsewhere nothing."""

from __future__ import annotations

import os
from html import escape
from typing import Any

import gradio as gr

from ddpo.common.machine import on_space
from ddpo.ui.shared.events import QUICK
from ddpo.ui.space.asker import is_owner


def build(demo: gr.Blocks) -> None:
    """Lay the hint out, where this is a Space; its owner, once signed in, does not see it."""
    if not on_space():
        return
    address = f"https://huggingface.co/spaces/{os.environ['SPACE_ID']}?duplicate=true"
    hint = gr.HTML(
        '<p class="duplicate">This Space and its hardware are shared. '
        f'<a href="{escape(address)}" target="_blank" rel="noopener">Duplicate this Space</a> to use it without a '
        "queue, on hardware of your own.</p>",
        elem_id="duplicate",
    )
    demo.load(_unless_owner, None, hint, **QUICK)


def _unless_owner(profile: gr.OAuthProfile | None) -> Any:
    return gr.update(visible=not is_owner(profile))

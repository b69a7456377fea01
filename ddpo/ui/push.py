"""Pushing a run's result to the Hub: first what would be pushed, then, on a second press, the push itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

import gradio as gr

from ddpo.errors import UserError
from ddpo.ui import training
from ddpo.ui.running import PRIVATE, QUICK, on_space, sentences
from ddpo.ui.views import message

TROUBLE = "This could not be pushed"


@dataclass(frozen=True)
class PushForm:
    """The components."""

    repository: gr.Textbox
    plan: gr.Button
    push: gr.Button
    outcome: gr.HTML


def build() -> PushForm:
    """Lay the components out."""
    with gr.Row(equal_height=True, elem_id="push-row"):
        repository = gr.Textbox(
            label="Repository", placeholder="your-name/my-model", scale=3, min_width=220, elem_id="push-repository"
        )
        plan = gr.Button("Show what would be pushed", min_width=160, scale=1, elem_id="push-plan-button")
    outcome = gr.HTML(elem_id="push-outcome")
    push = gr.Button("Push", variant="primary", visible=False, elem_id="push-button")
    return PushForm(repository, plan, push, outcome)


def connect(form: PushForm, shown: gr.State) -> None:
    """Connect them; `shown` says which run is meant."""
    outputs = [form.outcome, form.push]
    form.plan.click(_on_plan, [form.repository, shown], outputs, **QUICK)
    form.repository.input(lambda: ("", gr.update(visible=False)), None, outputs, **QUICK)
    form.push.click(_on_push, [form.repository, shown], outputs, concurrency_id="push", concurrency_limit=1, **PRIVATE)


def token_for(oauth: gr.OAuthToken | None) -> str | None:
    """The visitor's own token, else the environment's; but never that of a Space, which is its owner's."""
    if oauth is not None:
        return oauth.token
    return None if on_space() else os.environ.get("HF_TOKEN")


def _on_plan(repository: str, shown: Any) -> tuple[str, Any]:
    from ddpo.publish import plan_push

    try:
        with sentences(TROUBLE):
            plan = plan_push(training.need(shown.run_id), repository.strip())
    except gr.Error as error:
        return message(TROUBLE, unescape(error.message)), gr.update(visible=False)
    return f'<pre class="plan">{escape(str(plan))}</pre>', gr.update(visible=True)


def _on_push(profile: gr.OAuthProfile | None, oauth: gr.OAuthToken | None, repository: str, shown: Any) -> Any:
    from ddpo.publish import push

    try:
        with sentences(TROUBLE):
            training.check_permission(profile)
            token = token_for(oauth)
            if on_space() and token is None:
                raise UserError("Sign in first: the result goes to a repository of yours on the Hub.")
            address = push(training.need(shown.run_id), repository.strip(), token=token)
    except gr.Error as error:
        return message(TROUBLE, unescape(error.message)), gr.skip()
    return message("Pushed", str(address)), gr.update(visible=False)

"""Pushing a run's result to the Hub: first what would be pushed, then, on a second press, the push itself."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape, unescape
from typing import Any

import gradio as gr

from ddpo.common.machine import on_space
from ddpo.errors import UserError
from ddpo.hub.troubles import LOG_IN, http_status
from ddpo.runs.store import Run
from ddpo.ui.shared.events import PRIVATE, QUICK
from ddpo.ui.shared.html import message
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.space import permission, sign_in
from ddpo.ui.space.asker import Asker, who
from ddpo.ui.train import actions

TROUBLE = "This could not be pushed"
# What was said of another name goes in the page itself: by way of the server, it could take away the plan that follows.
FORGET = "() => ['', {__type__: 'update', visible: false}]"
DONE = '<div class="card note done"><h2>Pushed</h2><p><a href="{0}" target="_blank" rel="noopener">{0}</a></p></div>'


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


def connect(form: PushForm, shown: gr.State, login: gr.Button) -> None:
    """Connect them; `shown` says which run is meant, and `login` is the button to sign in with."""
    outputs = [form.outcome, form.push]
    form.plan.click(_on_plan, [form.repository, shown], outputs, **QUICK)
    form.repository.input(None, None, outputs, js=FORGET, **PRIVATE)
    one_at_a_time: dict[str, Any] = {"concurrency_id": "push", "concurrency_limit": 1}
    pushed = form.push.click(_on_push, [login, form.repository, shown], outputs, **one_at_a_time, **PRIVATE)
    sign_in.refresh(pushed, login)


def _on_plan(repository: str, shown: Any) -> tuple[str, Any]:
    from ddpo.publish.push import plan_push

    try:
        with sentences(TROUBLE):
            plan = plan_push(actions.need(shown.run_id), repository.strip())
    except gr.Error as error:
        return message(TROUBLE, unescape(error.message)), gr.update(visible=False)
    return f'<pre class="plan">{escape(str(plan))}</pre>{_lacking()}', gr.update(visible=True)


def _lacking() -> str:
    """What has to be seen to before the push, where the page can tell."""
    from huggingface_hub import get_token

    if on_space() or get_token():
        return ""
    return f'<p class="hint">There is no token of yours on this machine: {LOG_IN} before you push.</p>'


def _on_push(
    request: gr.Request, oauth: gr.OAuthToken | None, label: Any, repository: str, shown: Any
) -> tuple[str, Any]:
    try:
        with sentences(TROUBLE):
            asker = who(request)
            if asker is Asker.VISITOR and sign_in.has_expired(oauth, label):
                raise UserError(sign_in.EXPIRED)
            permission.check_push(asker, oauth)
            run = actions.need(shown.run_id)
            permission.check_result(run, asker)
            address = _push(asker, oauth, run, repository.strip())
    except gr.Error as error:
        return message(TROUBLE, unescape(error.message)), gr.skip()
    return DONE.format(escape(address)), gr.update(visible=False)


def _push(asker: Asker, oauth: gr.OAuthToken | None, run: Run, repository: str) -> str:
    """Push, with sentences for a visitor, who has signed in and knows of no token."""
    from ddpo.publish.push import push

    try:
        return push(run, repository, token=permission.push_token(asker, oauth))
    except UserError as error:
        status = http_status(error)
        if oauth is None or status not in (401, 403):
            raise
        if status == 401:
            raise UserError("The Hub does not take your sign-in any more; sign out, and sign in again.") from error
        raise UserError(
            f"You may not write to {repository!r}; name a repository of your own, or of an organization that you let "
            "this app act for when you signed in."
        ) from error

"""The tab that scores a picture of the visitor's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL.Image import Image

from ddpo import rewards
from ddpo.common.words import shown
from ddpo.comparison import why
from ddpo.errors import UserError
from ddpo.rewards import RewardSpec
from ddpo.ui import explorer
from ddpo.ui.compare.closer_views import terms_table
from ddpo.ui.shared import html, scorer_fields
from ddpo.ui.shared.carried import carried
from ddpo.ui.shared.events import PRIVATE, QUICK, SCORES
from ddpo.ui.shared.html import amount
from ddpo.ui.shared.inputs import Upload
from ddpo.ui.shared.sentences import sentence_for, sentences
from ddpo.ui.shared.uploads import LARGEST_SIDE, open_upload
from ddpo.ui.space import quota, scoring
from ddpo.ui.space.scoring import score, scoring_seconds

EMPTY = html.message("No score yet", "Upload a picture and press Score; its score appears here.")
TROUBLE = "This could not be scored"


def build() -> None:
    """Lay the tab out and connect it."""
    with gr.Row(equal_height=False, elem_id="score-tab"):
        with gr.Column(scale=1, min_width=300):
            picture = Upload(
                label="Picture", type="filepath", sources=["upload", "clipboard"], height=320, elem_id="score-upload"
            )
            scorer = scorer_fields.build("score")
            cost = quota.build("score-quota")
            button = gr.Button("Score", variant="primary", size="lg", elem_id="score-button")
        with gr.Column(scale=1, min_width=300):
            verdict = gr.HTML(EMPTY, elem_id="verdict", js_on_load="explore.settings(element)")
    explorer.build(scorer)
    button.click(_on_score, [picture, *scorer], verdict, **PRIVATE, **SCORES)
    quota.follow(cost, [picture, *scorer], _cost)
    picture.upload(_on_upload, picture, [picture, verdict], **QUICK)
    gr.on([picture.clear, *(field.change for field in scorer)], lambda: EMPTY, None, verdict, **QUICK)


def _cost(profile: gr.OAuthProfile | None, path: str | None, name: Any, like: Any, unlike: Any) -> str:
    """What the score costs on ZeroGPU, of the largest picture where none was uploaded; nothing if none can be given."""
    try:
        size = open_upload(path).size if path else (LARGEST_SIDE, LARGEST_SIDE)
        return quota.call_line(scoring_seconds(size, scorer_fields.full_name(name, like, unlike)), profile)
    except UserError:
        return ""


def _on_upload(path: str | None) -> tuple[Any, str]:
    """A file that is no picture is taken out again, with the reason."""
    try:
        if path:
            open_upload(path)
    except UserError as error:
        return None, html.message(TROUBLE, sentence_for(error))
    return gr.skip(), EMPTY


def _on_score(path: str | None, name: Any, like: Any, unlike: Any) -> Iterator[str]:
    try:
        with sentences(TROUBLE):
            scorer = scorer_fields.full_name(name, like, unlike)
            if not isinstance(scorer, str):
                raise UserError(f"The scorer must be given as text, and {shown(scorer)} is not.")
            spec = rewards.get(scorer)
            picture = open_upload(path)
            card = score_card(score(picture, scorer), spec)
            yield card + _why(picture, spec) + _settings(path)
    except gr.Error as error:
        yield html.message(TROUBLE, unescape(error.message))  # which stays, in the place of an older score
        raise error


def _why(picture: Image, spec: RewardSpec) -> str:
    """The terms of the score that is made of some."""
    if spec.name != why.SCORER:
        return ""
    (terms,) = scoring.terms([picture])
    return (
        f'<div class="evaluation"><section><h2>Why this score</h2><div class="wide" tabindex="0">'
        f"{terms_table(terms)}</div></section></div>"
    )


def _settings(path: str | None) -> str:
    """What a picture of this app carries."""
    if not path:
        return ""
    with Path(path).open("rb") as file:
        found = explorer.use_settings(carried(file))
    return f'<div class="evaluation"><section>{found}</section></div>' if found else ""


def score_card(score: float, spec: RewardSpec) -> str:
    """The score, its scale and what it measures."""
    low, high = spec.value_range
    scale = f"on a scale from {low:g} to {high:g}" if math.isfinite(low) and math.isfinite(high) else ""
    return (
        f'<div class="card score-card"><span>{escape(spec.title)}</span><b>{escape(amount(score, spec))}</b>'
        f"<small>{escape(spec.name)} {scale}</small>"
        f"<p>{escape(spec.description)}</p><p class='hint'>After {escape(spec.source)}</p></div>"
    )

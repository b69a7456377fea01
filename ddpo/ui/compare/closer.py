"""A closer look at the comparison that is shown: why it scores what it does, other scorers, and the way there."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from ddpo.comparison import animation
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.rescore import at_hand
from ddpo.comparison.trajectory import Trajectory
from ddpo.errors import UserError
from ddpo.ui.compare import along, along_views, closer_views, kept, rescoring, results
from ddpo.ui.compare.results import STATE_LIFE, Results
from ddpo.ui.shared import uploads
from ddpo.ui.shared.events import COMPARES, PRIVATE, QUICK, SCORES, UNTIMED
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.space import permission, scoring
from ddpo.ui.space.asker import who

TROUBLE = "This could not be looked at"
NAME = "denoise-together"


@dataclass(frozen=True)
class Closer:
    """The components that a closer look fills."""

    status: gr.HTML
    cancel: gr.Button
    why: gr.HTML
    scorers: gr.HTML
    along: gr.HTML
    animation: gr.HTML
    seed: gr.Radio
    webp: gr.DownloadButton
    gif: gr.DownloadButton
    state: gr.State  # key of the trajectory, for `kept.trajectories`


def build(outcome: Results) -> None:
    """Lay it out and connect it; it opens empty, as nothing of it is computed before it is asked for."""
    with gr.Accordion("Look closer", open=False, elem_id="closer"):
        with gr.Row(elem_id="closer-buttons"):
            why = gr.Button("Why this score", size="md", min_width=120, elem_id="why-button")
            others = gr.Button("All scorers", size="md", min_width=120, elem_id="rescore-button")
            together = gr.Button("Denoise together", size="md", min_width=120, elem_id="together-button")
            cancel = gr.Button(
                "Cancel", variant="stop", size="md", min_width=80, visible=False, elem_id="closer-cancel"
            )
        status = gr.HTML("", elem_id="closer-status")
        terms, table = gr.HTML("", elem_id="closer-why"), gr.HTML("", elem_id="closer-scorers")
        film = gr.HTML("", elem_id="closer-along", js_on_load="explore.film(element)")
        moving = gr.HTML("", elem_id="closer-animation")
        seed = gr.Radio([], label="Seed of the animation", visible=False, elem_id="closer-seed")
        with gr.Row():
            webp, gif = _download("WebP"), _download("GIF")
        state = gr.State(None, time_to_live=STATE_LIFE)
    shown = Closer(status, cancel, terms, table, film, moving, seed, webp, gif, state)
    _connect(outcome, shown, why, others, together)


def _download(kind: str) -> gr.DownloadButton:
    return gr.DownloadButton(f"Download as {kind}", size="md", visible=False, elem_id=f"closer-{kind.lower()}")


def _connect(outcome: Results, shown: Closer, why: gr.Button, others: gr.Button, together: gr.Button) -> None:
    outputs = list(vars(shown).values())
    hidden: dict[str, Any] = {**PRIVATE, **UNTIMED}
    why.click(_on_why, outcome.state, outputs, **hidden, **SCORES)
    begun = others.click(_on_begin, None, outputs, **QUICK)
    scoring = begun.then(_on_scorers, outcome.state, outputs, **hidden, **COMPARES)
    begun = together.click(_on_begin, None, outputs, **QUICK)
    following = begun.then(_on_together, outcome.state, outputs, **hidden, **COMPARES)
    for run in (scoring, following):
        run.failure(lambda: _changed(status="", cancel=gr.update(visible=False)), None, outputs, **QUICK)
    shown.cancel.click(_on_cancel, None, outputs, cancels=[scoring, following], **QUICK)
    shown.seed.input(_on_seed, [shown.state, shown.seed], outputs, **hidden)
    outcome.state.change(_cleared, None, outputs, cancels=[scoring, following], **QUICK)


def _changed(**parts: Any) -> list[Any]:
    """Some of what is shown, by the names of Closer, and the rest as it is."""
    return [parts.get(name, gr.skip()) for name in Closer.__dataclass_fields__]


def _cleared() -> list[Any]:
    """Nothing old may stand under another comparison."""
    hidden = gr.update(visible=False)
    texts = dict.fromkeys(("status", "why", "scorers", "along", "animation"), "")
    return _changed(**texts, cancel=hidden, seed=hidden, webp=hidden, gif=hidden, state=None)


def _on_begin() -> list[Any]:
    return _changed(status='<p class="hint" role="status">Waiting…</p>', cancel=gr.update(visible=True))


def _on_cancel() -> list[Any]:
    return _changed(status='<p class="hint" role="status">Cancelled.</p>', cancel=gr.update(visible=False))


def _shown(key: Any) -> ComparisonResult:
    result = results.find(key) if isinstance(key, str) else None
    if result is None:
        raise UserError("There is no comparison to look at; press Compare first.")
    return result


def _on_why(key: Any) -> list[Any]:
    with sentences(TROUBLE):
        result = _shown(key)
        terms = [scoring.terms(pictures) for pictures in (result.base_images, result.tuned_images)]
        return _changed(why=closer_views.why(result, *terms))


def _on_scorers(key: Any) -> Iterator[list[Any]]:
    """Closing this generator, which Gradio does on cancel and when the page is gone, stops it."""
    with sentences(TROUBLE):
        result, found = _shown(key), []
        for event in rescoring.by_all(key, result, at_hand(result.comparison.scorer.name)):
            if isinstance(event, Progress):
                yield _changed(status=closer_views.progress_line(event))
            else:
                found.append(event)
                yield _changed(scorers=closer_views.scorers(found))
        yield _changed(status="", cancel=gr.update(visible=False))


def _on_together(request: gr.Request, profile: gr.OAuthProfile | None, key: Any) -> Iterator[list[Any]]:
    """As `_on_scorers`."""
    with sentences(TROUBLE):
        most = permission.most_pixel_steps(who(request, profile))
        for event in along.follow(_shown(key).comparison, most):
            if isinstance(event, Trajectory):
                yield _followed(event)
            else:
                yield _changed(status=closer_views.progress_line(event))


def _followed(found: Trajectory) -> list[Any]:
    place = animation.middle_seed(found)
    seed = gr.update(choices=[str(seed) for seed in found.seeds], value=str(found.seeds[place]), visible=True)
    return _changed(
        status="",
        cancel=gr.update(visible=False),
        along=along_views.card(found),
        seed=seed,
        state=kept.trajectories.keep(found),
        **_animated(found, place),
    )


def _on_seed(key: Any, seed: Any) -> list[Any]:
    found = kept.trajectories.find(key)
    names = [str(seed) for seed in found.seeds] if found else []
    if found is None or not isinstance(seed, str) or seed not in names:
        return _changed()
    with sentences(TROUBLE):
        return _changed(**_animated(found, names.index(seed)))


def _animated(found: Trajectory, place: int) -> dict[str, Any]:
    """The animation of a seed on the page, and as files where Gradio keeps what it serves."""
    with tempfile.TemporaryDirectory() as folder:
        names = (f"{NAME}-seed-{found.seeds[place]}{end}" for end in animation.FORMATS)
        webp, gif = (animation.write_animation(found, place, Path(folder) / name) for name in names)
        kept = [save_file_to_cache(path, cache_dir=str(uploads.own_folder())) for path in (webp, gif)]
        picture = "data:image/webp;base64," + base64.b64encode(webp.read_bytes()).decode()
    words = f"Seed {found.seeds[place]}: both models denoise the same noise, with their scores"
    return {
        "animation": f'<img class="together" alt="{escape(words)}" src="{picture}">',
        "webp": gr.update(value=kept[0], visible=True),
        "gif": gr.update(value=kept[1], visible=True),
    }

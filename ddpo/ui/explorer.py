"""Many pictures at once on the Score tab: every scorer at hand, and where each lies among the samples of church-64."""

from __future__ import annotations

import csv
import functools
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from ddpo import rewards
from ddpo.common.words import shown
from ddpo.comparison import saved
from ddpo.comparison.rescore import at_hand
from ddpo.errors import UserError
from ddpo.rewards import RewardSpec
from ddpo.ui.shared import carried, many, scorer_fields, uploads
from ddpo.ui.shared.events import PRIVATE, SCORES, UNTIMED
from ddpo.ui.shared.html import amount, data_uri, message
from ddpo.ui.shared.inputs import OpenDropdown, Uploads
from ddpo.ui.shared.sent import AnyFiles
from ddpo.ui.shared.sentences import sentences
from ddpo.ui.space.scoring import score_many

TROUBLE = "These could not be scored"
BATCH = 4  # pictures that are scored in one call, each of up to 12 MB
THUMBNAIL = 64  # pixels a side
CSV = "scores.csv"


@dataclass
class Row:
    """One file of the table."""

    name: str
    thumbnail: str = ""  # data URI
    size: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    settings: dict[str, str] | None = None


def build(scorer: Sequence[OpenDropdown | gr.Textbox]) -> None:
    """Lay the explorer out and connect it.

    Args:
        scorer: the fields of the scorer that is asked besides those at hand.
    """
    with gr.Accordion("Many pictures, or a zip", open=False, elem_id="explorer"):
        gr.HTML(
            f'<p class="hint">Up to {many.MOST_PICTURES} pictures at once. Every scorer at hand scores them, and the '
            "scorer above. Nothing of a zip is written to the disk.</p>"
        )
        files = Uploads(label="Pictures and zips", file_count="multiple", height=160, elem_id="explorer-upload")
        files.data_model = AnyFiles
        button = gr.Button("Score all", variant="primary", size="lg", elem_id="explorer-button")
        status = gr.HTML("", elem_id="explorer-status")
        table = gr.HTML("", elem_id="explorer-table", js_on_load="explore.sortable(element); explore.settings(element)")
        download = gr.DownloadButton("Download scores (CSV)", size="md", visible=False, elem_id="explorer-csv")
    outputs = [status, table, download]
    button.click(_on_many, [files, *scorer], outputs, **UNTIMED, **PRIVATE, **SCORES)


def _on_many(paths: Any, name: Any, like: Any, unlike: Any) -> Iterator[list[Any]]:
    """The table as it grows; closing this generator, which Gradio does when the page is gone, stops it."""
    with sentences(TROUBLE):
        if not isinstance(paths, list) or not paths:
            raise UserError("No pictures were uploaded; choose some, or a zip of them.")
        specs = _specs(name, like, unlike)
        rows: list[Row] = []
        yield [message("Scoring", "…"), "", gr.update(visible=False)]
        files = many.read(paths)
        while batch := list(islice(files, BATCH)):
            rows += _scored(batch, [spec.name for spec in specs])
            yield [f'<p class="hint" role="status">{len(rows)} files so far</p>', table(rows, specs), gr.skip()]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / CSV
            path.write_text(csv_text(rows, specs), encoding="utf-8")
            kept = save_file_to_cache(path, cache_dir=str(uploads.own_folder()))
        yield [summary(rows), table(rows, specs), gr.update(value=kept, visible=True)]


def _specs(name: Any, like: Any, unlike: Any) -> list[RewardSpec]:
    scorer = scorer_fields.full_name(name, like, unlike)
    if not isinstance(scorer, str):
        raise UserError(f"The scorer must be given as text, and {shown(scorer)} is not.")
    return [rewards.get(found) for found in at_hand(rewards.get(scorer).name)]


def _scored(batch: Sequence[many.Found], scorers: Sequence[str]) -> list[Row]:
    pictures = [found.picture for found in batch if found.picture is not None]
    scores = iter(score_many(pictures, scorers) if pictures else [])
    rows = []
    for found in batch:
        row = Row(found.name, problem=found.problem, settings=found.settings)
        if found.picture is not None:
            given = next(scores)
            row.scores = {name: score for name, score in given.items() if isinstance(score, float)}
            row.problem = next((score for score in given.values() if isinstance(score, str)), "")
            row.size = f"{found.picture.width} x {found.picture.height}"
            found.picture.thumbnail((THUMBNAIL, THUMBNAIL))
            row.thumbnail = data_uri(found.picture)
        rows.append(row)
    return rows


@functools.lru_cache(32)
def samples(scorer: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores of the base's and the finetuned model's pictures of the saved comparison; none where it is missing."""
    result = saved.bundled()
    if result is None:
        return (), ()
    if result.comparison.scorer.name == scorer:
        return tuple(result.base_scores), tuple(result.tuned_scores)
    pictures = score_many([*result.base_images, *result.tuned_images], [scorer])
    found = [score for given in pictures for score in given.values() if isinstance(score, float)]
    return tuple(found[: len(result.seeds)]), tuple(found[len(result.seeds) :])


def place(score: float, scorer: str) -> tuple[float, float] | None:
    """The shares of the base's and of the finetuned model's samples that score lower; None where there are none."""
    base, tuned = samples(scorer)
    if not base or not tuned:
        return None
    below = [sum(other < score for other in others) / len(others) for others in (base, tuned)]
    return below[0], below[1]


def summary(rows: Sequence[Row]) -> str:
    """How many were scored, and which were not, by name."""
    scored = [row for row in rows if row.scores]
    skipped = [row for row in rows if not row.scores]
    listed = "".join(f"<li><b>{escape(row.name)}</b>: {escape(row.problem)}</li>" for row in skipped)
    named = f"<ul>{listed}</ul>" if skipped else ""
    text = f"{len(scored)} scored" + (f", {len(skipped)} skipped" if skipped else "")
    return f'<div class="card note explored" role="status"><h2>{text}</h2>{named}</div>'


def table(rows: Sequence[Row], specs: Sequence[RewardSpec]) -> str:
    """Everything that was scored, with heads that sort."""
    heads = "".join(
        f'<th scope="col"><button type="button" class="sort">{escape(title)}</button></th>'
        for title in ("file", "size", *(spec.title for spec in specs))
    )
    lines = "".join(_line(row, specs) for row in rows if row.scores)
    caption = (
        "Small figures: the share of the saved comparison's base and finetuned samples of church-64 that score lower. "
        "Press a head to sort."
    )
    if not lines:
        return ""
    return (
        f'<div class="evaluation explorer"><section><div class="wide" tabindex="0"><table><caption>{caption}</caption>'
        f'<thead><tr><th scope="col"></th>{heads}</tr></thead><tbody>{lines}</tbody></table></div></section></div>'
    )


def _line(row: Row, specs: Sequence[RewardSpec]) -> str:
    cells = "".join(_cell(row.scores.get(spec.name), spec) for spec in specs)
    picture = f'<img alt="" src="{row.thumbnail}" width="{THUMBNAIL}">'
    return (
        f'<tr><td>{picture}</td><th scope="row">{escape(row.name)}{use_settings(row.settings)}</th>'
        f"<td>{escape(row.size)}</td>{cells}</tr>"
    )


def _cell(score: float | None, spec: RewardSpec) -> str:
    if score is None:
        return '<td data-value="-1e9">-</td>'
    among = place(score, spec.name)
    small = f"<small>{among[0]:.0%} · {among[1]:.0%}</small>" if among else ""
    return f'<td data-value="{score!r}">{escape(amount(score, spec))} {small}</td>'


def use_settings(found: dict[str, str] | None) -> str:
    """What a picture of this app says of itself, with the link that fills Compare; "" for any other."""
    if not found:
        return ""
    facts = ", ".join(f"{name.removeprefix('settings.')} {text}" for name, text in found.items())
    link = escape(carried.address(found), quote=True)
    return (
        f'<details class="hint settings"><summary>Drawn by this app</summary>{escape(facts)} '
        f'<a class="use-settings" href="{link}">Use these settings</a></details>'
    )


def csv_text(rows: Sequence[Row], specs: Sequence[RewardSpec]) -> str:
    """A line a file: name, size, scores, problem. A name that a spreadsheet would compute is quoted with a '."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", "size", *(spec.name for spec in specs), "problem"])
    for row in rows:
        name = f"'{row.name}" if row.name[:1] in "=+-@" else row.name
        scores = [repr(row.scores[spec.name]) if spec.name in row.scores else "" for spec in specs]
        writer.writerow([name, row.size, *scores, row.problem])
    return buffer.getvalue()

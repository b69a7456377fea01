"""What a comparison fills, and the states that this goes through: opened, waiting, drawing, done."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from ddpo.comparison import files, saved
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.poster import write_poster
from ddpo.comparison.settings import Comparison, ComparisonSettings
from ddpo.ui.compare import kept, views
from ddpo.ui.shared import uploads

COMPARING = "Comparing…"  # what the button says meanwhile
STATE_LIFE = 3600  # seconds that a finished comparison is remembered for its visitor
SAVED = "saved"  # the key of the comparison that comes with the app


@dataclass(frozen=True)
class Results:
    """The components that a comparison fills."""

    compare: gr.Button
    cancel: gr.Button
    notice: gr.HTML
    status: gr.HTML
    pictures: gr.HTML
    details: gr.Column
    slider: gr.HTML
    line: gr.HTML
    figures: gr.HTML
    archive: gr.DownloadButton
    table: gr.DownloadButton
    poster: gr.DownloadButton
    state: gr.State  # key of the comparison that is shown, for `find`


def build(compare: gr.Button, cancel: gr.Button) -> Results:
    """Lay out what the page opens with: the saved comparison, or where there is none, what will come."""
    result = saved.bundled()
    opened: dict[str, Any] = _values(result, SAVED) if result else {"status": views.EMPTY}
    notice = gr.HTML("", elem_id="notice")  # apart, as a slow page gets progress after the press of Cancel
    status = gr.HTML(opened["status"], elem_id="status")
    gr.HTML(views.TOOLS, elem_id="picture-tools", js_on_load="studio.tools(element)")
    pictures = gr.HTML(opened.get("pictures", ""), elem_id="pictures", js_on_load="studio.pictures(element, trigger)")
    with gr.Column(visible=result is not None, elem_id="details") as details, gr.Row(elem_id="before-after"):
        slider = gr.HTML(
            opened.get("slider", ""), elem_id="before-after-slider", js_on_load="access.slider(element)", scale=1,
            min_width=260,
        )  # fmt: skip
        with gr.Column(scale=1, min_width=260):
            line = gr.HTML(opened.get("line", ""))
            figures = gr.HTML(opened.get("figures", ""), elem_id="figures")
            with gr.Row():
                archive, table, poster = (
                    gr.DownloadButton(label, opened.get(name), size="md", min_width=90, elem_id=f"download-{kind}")
                    for label, name, kind in (
                        ("All (zip)", "archive", "zip"),
                        ("Scores (CSV)", "table", "csv"),
                        ("Share (PNG)", "poster", "poster"),
                    )
                )
    gr.HTML(views.RECENT, elem_id="recent", js_on_load="studio.recent(element)")
    state = gr.State(SAVED if result else None, time_to_live=STATE_LIFE)
    shown = pictures, details, slider, line, figures
    return Results(compare, cancel, notice, status, *shown, archive, table, poster, state)


def find(key: str | None) -> ComparisonResult | None:
    """The comparison of a key; None where it had to make room."""
    return saved.bundled() if key == SAVED else kept.comparisons.find(key)


def same(comparison: Comparison) -> str | None:
    """Key of a comparison of the same settings that is at hand; None where there is none."""
    opened = saved.bundled()
    is_saved = opened is not None and replace(opened.comparison, precision=comparison.precision) == comparison
    return kept.find_same(comparison) or (SAVED if is_saved else None)


def begun() -> list[Any]:
    """Waiting for a turn, without what was drawn before: nothing old may stand under the progress of something new."""
    comparing, cancel = gr.update(value=COMPARING, interactive=False), gr.update(visible=True)
    return _in_order(compare=comparing, cancel=cancel, notice="", status=views.waiting(), **_CLEARED)


def running(progress: Progress, settings: ComparisonSettings) -> list[Any]:
    """Drawing: how far it is, and now and then the pictures as they are."""
    drawn = {}
    if progress.previews is not None:
        drawn["pictures"] = views.preview_panels(progress.previews, settings.seeds)
    return _in_order(status=views.progress_card(progress), **drawn)


def finished(result: ComparisonResult) -> list[Any]:
    """Done: the result is shown, and kept."""
    return shown(kept.comparisons.keep(result))


def shown(key: str | None, notice: str = "", nothing: str = views.EMPTY) -> list[Any]:
    """The comparison of a key, and the buttons as they are when nothing is drawn.

    Args:
        key: for `find`.
        notice: HTML that is put above.
        nothing: HTML that is put in the place of a comparison where there is none, and no notice.
    """
    free = {"compare": gr.update(value="Compare", interactive=True), "cancel": gr.update(visible=False)}
    result = find(key)
    if result is None:
        return _in_order(**free, notice=notice, **_CLEARED, status="" if notice else nothing, state=None)
    return _in_order(**free, notice=notice, details=gr.update(visible=True), state=key, **_values(result, key))


def chosen(key: str | None, index: Any) -> tuple[Any, Any]:
    """The line and the slider of one seed, by its place among them; both stay as they are where there is none."""
    result = find(key)
    if result is None or type(index) is not int or not 0 <= index < len(result.seeds):
        return gr.skip(), gr.skip()
    return views.chosen_line(result, index), views.before_after(result, index)


_CLEARED: dict[str, Any] = {"pictures": "", "figures": "", "details": gr.update(visible=False)}


def _in_order(**values: Any) -> list[Any]:
    """Updates by name in the order of Results; what is not named stays as it is."""
    return [values.get(name, gr.skip()) for name in Results.__dataclass_fields__]


def _values(result: ComparisonResult, key: str | None) -> dict[str, Any]:
    """What the components show of a result, by their names."""
    index = views.best_index(result)
    archive, table, poster = _downloads(result)
    return {
        "status": views.summary_card(result, views.saved_note(result) if key == SAVED else ""),
        "pictures": views.result_panels(result, index),
        "figures": views.figures(result, timed=key != SAVED),
        "line": views.chosen_line(result, index),
        "slider": views.before_after(result, index),
        "archive": archive,
        "table": table,
        "poster": poster,
    }


def _downloads(result: ComparisonResult) -> list[str]:
    """The zip, the CSV and the picture to share, where Gradio keeps what it serves."""
    with tempfile.TemporaryDirectory() as folder:
        writers = files.write_zip, files.write_csv, write_poster
        paths = [write(result, Path(folder)) for write in writers]
        return [save_file_to_cache(path, cache_dir=str(uploads.own_folder())) for path in paths]

"""An evaluation as HTML: what it costs, how far it is, and what it found. Every text that is not ours is escaped."""

from __future__ import annotations

from html import escape

from ddpo.common.words import duration
from ddpo.comparison.events import Progress
from ddpo.evaluation import frontier, sections
from ddpo.evaluation.plan import Evaluation
from ddpo.evaluation.results import AgainstBase, Results
from ddpo.evaluation.statistics import power_hint
from ddpo.evaluation.verdict import Verdict
from ddpo.ui.shared.html import bar, empty

COLOURS = {"better": "better", "better at a price": "open", "no difference shown": "open"}  # others: worse

EMPTY = empty(
    "Nothing evaluated yet",
    "Press <b>Evaluate</b>. Every model draws the same seeds with every scheduler and number of steps. You will "
    "see which one is better than its base, how sure that is, what it cost in diversity, and how few steps would "
    "do. Cells show as they finish. Whatever is finished is kept, so nothing is drawn twice.",
)


LINKED = empty(
    "Not evaluated yet",
    "Press <b>Evaluate</b> for what this link asks for. The same settings give the same pictures and scores.",
)


def cost_line(evaluation: Evaluation, seconds: float | None) -> str:
    """What an evaluation takes here.

    Args:
        evaluation: what is evaluated.
        seconds: that it takes on this machine; None where nobody knows.
    """
    cells, seeds = len(evaluation.cells), len(evaluation.seeds)
    time = f", <b>{duration(seconds)}</b> to draw on this machine" if seconds is not None else ""
    return (
        f'<p class="hint estimate">{cells} cells of {seeds} seeds: {evaluation.evaluations:,} evaluations of '
        f"networks{time}.</p>"
    )


def power_line(evaluation: Evaluation) -> str:
    """What so many seeds can show."""
    comparisons = len(evaluation.cells) - len(evaluation.points)
    return f'<p class="hint">{escape(power_hint(len(evaluation.seeds), comparisons))}</p>'


def problem_line(text: str) -> str:
    """Why nothing can be evaluated as it stands."""
    return f'<p class="hint estimate problem">{escape(text)}</p>'


def progress_card(progress: Progress, done: int, evaluation: Evaluation) -> str:
    """Stage, cells that are done, percentage and the time that is left."""
    share = progress.step / progress.total if progress.total else 0.0
    detail = f"{done} of {len(evaluation.cells)} cells done"
    if progress.seconds_left is not None and progress.step < progress.total:
        detail += f" · {duration(progress.seconds_left)} left"
    return (
        '<div class="card progress">'
        f'<div class="line"><b>{escape(progress.stage)}</b><span class="percent">{share:.0%}</span></div>'
        f"{bar(progress.stage, share)}<p>{detail}</p></div>"
    )


def verdicts(results: Results) -> str:
    """Of each model the verdict where it scores highest, and folded up those of all its cells."""
    best = sections.highest(results)
    if not best:
        return ""
    cards = "".join(_verdict(compared, results) for compared in best)
    rest = ""
    if len(results.comparisons) > len(best):
        lines = "".join(
            f"<li><b>{escape(compared.cell.cell.title)}.</b> {escape(compared.verdict.sentence)}</li>"
            for compared in results.comparisons
        )
        count = len(results.comparisons)
        rest = f'<details class="card all-verdicts"><summary>All {count} verdicts</summary><ul>{lines}</ul></details>'
    return f'<div class="evaluation verdicts">{cards}{rest}</div>'


def _verdict(compared: AgainstBase, results: Results) -> str:
    verdict, scorer = compared.verdict, results.evaluation.target
    others = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    listed = f"<ul>{others}</ul>" if len(verdict.reasons) > 1 else ""  # the sentence has the only one
    return (
        f'<div class="card summary {_colour(verdict)}"><p class="how">{escape(compared.cell.cell.title)}, against '
        f"{escape(results.evaluation.base.name)} · {escape(scorer.title)}</p>"
        f'<p class="sentence">{escape(verdict.sentence)}</p>{listed}</div>'
    )


def _colour(verdict: Verdict) -> str:
    return COLOURS.get(verdict.kind, "worse")


def figures(results: Results) -> str:
    """Plots and tables of the cells that are done."""
    parts = [sections.quality(results), sections.cells(results), sections.gains(results), sections.measures(results)]
    parts.append(frontier.section(results.evaluation))
    for compared in sections.highest(results):
        title = escape(compared.cell.cell.title)
        parts.append(f"<section><h2>{title}</h2>{sections.distributions(compared, results)}</section>")
    return f'<div class="evaluation">{"".join(parts)}</div>'

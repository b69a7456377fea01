"""The parts of a report that need no pictures, as HTML: verdicts, plots and tables. The page shows the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from ddpo.common.words import signed
from ddpo.evaluation import plots
from ddpo.evaluation.plan import Model
from ddpo.evaluation.results import MARGIN, AgainstBase, CellResult, Results, gain_by_seed, interval_of
from ddpo.evaluation.verdict import p_in_words
from ddpo.rewards import RewardSpec

SHOWN = 3  # best, middle and worst seeds that are shown of each


def verdicts(results: Results) -> str:
    """Of every comparison what is to be thought of it."""
    if not results.comparisons:
        return ""
    items = []
    for compared in results.comparisons:
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in compared.verdict.reasons)
        listed = f"<ul>{reasons}</ul>" if len(compared.verdict.reasons) > 1 else ""  # the sentence has the only one
        title = escape(compared.cell.cell.title)
        items.append(f"<h3>{title}</h3><p><b>{escape(compared.verdict.sentence)}</b></p>{listed}")
    return f"<section><h2>Verdicts</h2>{''.join(items)}</section>"


def quality(results: Results) -> str:
    """Quality against time: a curve for each model and scheduler."""
    target = results.evaluation.target
    series: list[plots.Series] = []
    sentences: list[str] = []
    schedulers = list({point.scheduler.name: point.scheduler for point in results.evaluation.points}.values())
    for model in results.evaluation.models:
        found = results.as_good(model)
        if found:
            best, cheapest = found
            sentences.append(
                f"{model.name}: {best.title} scores highest, and {cheapest.title} is the cheapest that is worse by "
                f"less than {MARGIN} standard deviations, with 95% certainty."
            )
        for number, scheduler in enumerate(schedulers):
            cells = [r for r in results.cells if r.cell.model == model and r.cell.point.scheduler == scheduler]
            cells.sort(key=lambda result: result.evaluations)
            if cells:
                marked = [place for place, r in enumerate(cells) if found and r.cell.point == found[1]]
                series.append(
                    plots.Series(
                        f"{model.name}, {scheduler.title}",
                        [(max(r.seconds, 1e-6), r.mean(target.name)) for r in cells],
                        number,
                        model != results.evaluation.base,
                        [interval_of(r, target.name) or (r.mean(target.name), r.mean(target.name)) for r in cells],
                        marked[0] if marked else None,
                    )
                )
    title = f"Mean {target.name} against seconds a picture"
    plot = plots.lines(title, series, "seconds a picture (logarithmic)", f"mean {_named(target)}", log_x=True)
    note = "A ring marks the cheapest as good; dashed lines are not the base. Bars are 95% intervals."
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return (
        f"<section><h2>Quality against time</h2><figure>{plot}<figcaption>{note}</figcaption></figure>{said}</section>"
    )


def cells(results: Results) -> str:
    """The mean scores of all cells, and what their pictures cost."""
    target, rows = results.evaluation.target, []
    for result in results.cells:
        interval = interval_of(result, target.name)
        rows.append(
            [
                result.cell.title, f"{result.mean(target.name):.{target.decimals}f}",
                " to ".join(f"{bound:.{target.decimals}f}" for bound in interval or ()) or "-",
                f"{result.seconds:.3f}", str(result.evaluations), *_away(result),
            ]
        )  # fmt: skip
    heads = ["cell", f"mean {_named(target)}", "95% interval", "seconds a picture", "evaluations a picture"]
    note = "Mean scores with intervals, and what a picture costs."
    if any(result.reference for result in results.cells):
        heads.append("distance to the reference")
        note += " The distance is KID's to pictures that the base should draw like, unbiased, ± one standard error."
    return _section("Every cell", heads, rows, note)


def _away(result: CellResult) -> list[str]:
    found = result.reference
    return [f"{found.value:.3f} ± {found.standard_error:.3f}"] if found else []


def gains(results: Results) -> str:
    """The gains of all comparisons, by every scorer."""
    rows = []
    for compared in results.comparisons:
        for spec in results.evaluation.scorers:
            gain = compared.gains[spec.name]
            bounds = " to ".join(signed(bound, spec.decimals) for bound in gain.interval or ())
            low, high = gain.wins_interval
            in_sd = gain.paired.gain_in_sd
            rows.append(
                [
                    f"{compared.cell.cell.title}, {spec.name}", signed(gain.paired.mean_difference, spec.decimals),
                    bounds or "-", gain.method, p_in_words(gain.p_corrected).removeprefix("p "),
                    "-" if in_sd is None else signed(in_sd, 2),
                    f"{gain.paired.win_rate:.0%} ({low:.0%} to {high:.0%})",
                ]
            )  # fmt: skip
    heads = ["comparison", "mean gain", "95% interval", "interval by", "p, corrected", "gain in SD", "wins"]
    note = f"Over {results.evaluation.base.name}, by seed. Of each score, p is corrected for all comparisons (Holm)."
    return _section("Gains", heads, rows, note)


def measures(results: Results) -> str:
    """Diversity and the like of all comparisons; nothing where there are too few seeds."""
    rows = []
    for compared in results.comparisons:
        found = compared.cell.measures
        if found is None:
            continue
        shares = (found.modes, found.diversity, found.recall, found.precision, found.nearest)
        distance = found.distance
        rows.append(
            [
                compared.cell.cell.title,
                *(f"{_percent(share.value)} ± {_percent(share.noise)}" for share in shares),
                f"{distance.value:.3f} ± {distance.standard_error:.3f} ({p_in_words(distance.p_value)})",
                _percent(found.sliders),
            ]
        )
    heads = ["comparison", "modes", "diversity", "recall", "precision", "nearest", "kernel distance", "sliders"]
    note = (
        "As shares of the base's, ± one standard error. Sliders: how much of the change brightness, contrast and "
        "saturation explain."
    )
    return _section("What the score does not say", heads, rows, note)


def highest(results: Results) -> list[AgainstBase]:
    """Of each model the comparison in which it scores highest."""
    target = results.evaluation.target.name
    best: dict[Model, AgainstBase] = {}
    for compared in sorted(results.comparisons, key=lambda compared: compared.cell.mean(target)):
        best[compared.cell.cell.model] = compared
    return list(best.values())


def distributions(compared: AgainstBase, results: Results) -> str:
    """The scores of both models, and the gain of every seed."""
    base, tuned, target, seeds = compared.base, compared.cell, results.evaluation.target, results.evaluation.seeds
    sorted_gains = gain_by_seed(compared, target.name, seeds)
    samples = [(r.cell.model.name, r.scores[target.name]) for r in (base, tuned)]
    rows = [
        [str(seed), *(f"{r.scores[target.name][seeds.index(seed)]:.{target.decimals}f}" for r in (base, tuned)),
         signed(gain, target.decimals)]
        for seed, gain in sorted_gains
    ]  # fmt: skip
    title = tuned.cell.title
    return (
        f"<h3>Scores</h3>{plots.histograms(f'Distributions of {target.name}, {title}', samples, _named(target))}"
        f"<h3>Gain by seed</h3>"
        f"{plots.bars(f'Gain by seed, {title}', [gain for _, gain in sorted_gains], f'gain, {_named(target)}')}"
        f"<details><summary>As a table</summary>"
        f"{_table(['seed', base.cell.model.name, tuned.cell.model.name, 'gain'], rows, f'Scores by {target.name}')}"
        f"</details>"
    )


def by_gain(compared: AgainstBase, results: Results) -> dict[str, list[tuple[int, float]]]:
    """The best, the middle and the worst seeds with their gains: never only the best."""
    listed = gain_by_seed(compared, results.evaluation.target.name, results.evaluation.seeds)
    middle = max((len(listed) - SHOWN) // 2, 0)
    return {"Best": listed[:SHOWN], "Middle": listed[middle : middle + SHOWN], "Worst": listed[-SHOWN:]}


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.0%}"


def _named(spec: RewardSpec) -> str:
    return f"{spec.name}, {spec.unit}" if spec.unit else spec.name


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> str:
    return f"<section><h2>{title}</h2>{_table(heads, rows, note)}</section>" if rows else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], note: str) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    table = f"<table><caption>{escape(note)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0">{table}</div>'

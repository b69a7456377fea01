"""The report: one HTML file that needs nothing else, for readers in a hurry, on paper, and with a screen reader."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from ddpo.common.words import signed
from ddpo.evaluation import plots
from ddpo.evaluation.plan import Model
from ddpo.evaluation.results import MARGIN, AgainstBase, CellResult, Pictures, Results, gain_by_seed, interval_of
from ddpo.evaluation.statistics import power_hint
from ddpo.evaluation.verdict import p_in_words
from ddpo.rewards import RewardSpec

SHOWN = 3  # best, middle and worst seeds that are shown of each
ON_GRID = 60  # cells of which a picture is shown
SIDE = 128  # pixels a side that a picture is shown with, at the least
STYLE = """
:root{color-scheme:light dark;--ink:#1d1d24;--soft:#5c5c6b;--line:#d9d9e0;--paper:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#ececf2;--soft:#a3a3b2;--line:#3b3b47;--paper:#15151b}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;padding:1rem;
max-width:60rem}
h1,h2,h3{line-height:1.2}.soft,figcaption,caption{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}caption{text-align:left}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
svg{width:100%;height:auto}svg text{font-size:12px;fill:var(--ink)}svg path{fill:none;stroke-width:2}
svg .axis{stroke:var(--soft);stroke-width:1}svg .grid{stroke:var(--line);stroke-width:1}
.s0{stroke:#3b6fd4}.s1{stroke:#c2570c}.s2{stroke:#15803d}.s3{stroke:#9333ea}.s4{stroke:#be123c}.s5{stroke:#0e7490}
svg .thin{stroke-width:1}svg .dot{fill:var(--paper)}svg .ring{fill:none;stroke:var(--ink);stroke-width:2}
svg .up{fill:#3b6fd4}svg .down{fill:#c2570c}
.pictures{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}.pictures img{image-rendering:pixelated}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
"""


def render(results: Results, pictures: Pictures, facts: dict[str, Any]) -> str:
    """The report as HTML.

    Args:
        results: with at least one finished cell.
        pictures: gives those of a cell.
        facts: of `export.write_folder`: command, versions, seeds.
    """
    target = results.evaluation.target
    title = f"Evaluation: {', '.join(model.name for model in results.evaluation.models)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{_count(results)} {escape(power_hint(len(results.evaluation.seeds), len(results.comparisons) or 1))}</p>",
        _verdicts(results),
        _quality(results, target),
        _cells(results, target),
        _gains(results),
        _measures(results),
        *(_of_comparison(compared, target, results, pictures) for compared in _shown(results)),
        _one_seed(results, pictures),
        _method(facts),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _count(results: Results) -> str:
    whole = "" if results.is_complete else f" Not finished: {len(results.evaluation.cells)} cells were asked for."
    return f"{len(results.cells)} cells of {len(results.evaluation.seeds)} seeds.{whole}"


def _verdicts(results: Results) -> str:
    if not results.comparisons:
        return ""
    items = []
    for compared in results.comparisons:
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in compared.verdict.reasons)
        listed = f"<ul>{reasons}</ul>" if len(compared.verdict.reasons) > 1 else ""  # the sentence has the only one
        title = escape(compared.cell.cell.title)
        items.append(f"<h3>{title}</h3><p><b>{escape(compared.verdict.sentence)}</b></p>{listed}")
    return f"<section><h2>Verdicts</h2>{''.join(items)}</section>"


def _quality(results: Results, target: RewardSpec) -> str:
    """Quality against time: a curve for each model and scheduler."""
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


def _cells(results: Results, target: RewardSpec) -> str:
    rows = []
    for result in results.cells:
        interval = interval_of(result, target.name)
        rows.append(
            [
                result.cell.title, f"{result.mean(target.name):.{target.decimals}f}",
                " to ".join(f"{bound:.{target.decimals}f}" for bound in interval or ()) or "-",
                f"{result.seconds:.3f}", str(result.evaluations),
            ]
        )  # fmt: skip
    heads = ["cell", f"mean {_named(target)}", "95% interval", "seconds a picture", "evaluations a picture"]
    return _section("Every cell", heads, rows, "Mean scores with intervals, and what a picture costs.")


def _gains(results: Results) -> str:
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


def _measures(results: Results) -> str:
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


def _shown(results: Results) -> list[AgainstBase]:
    """Of each model the comparison in which it scores highest."""
    target = results.evaluation.target.name
    best: dict[Model, AgainstBase] = {}
    for compared in sorted(results.comparisons, key=lambda compared: compared.cell.mean(target)):
        best[compared.cell.cell.model] = compared
    return list(best.values())


def _of_comparison(compared: AgainstBase, target: RewardSpec, results: Results, pictures: Pictures) -> str:
    base, tuned, seeds = compared.base, compared.cell, results.evaluation.seeds
    sorted_gains = gain_by_seed(compared, target.name, seeds)
    samples = [(r.cell.model.name, r.scores[target.name]) for r in (base, tuned)]
    rows = [
        [str(seed), *(f"{r.scores[target.name][seeds.index(seed)]:.{target.decimals}f}" for r in (base, tuned)),
         signed(gain, target.decimals)]
        for seed, gain in sorted_gains
    ]  # fmt: skip
    title = tuned.cell.title
    return (
        f"<section><h2>{escape(title)}</h2>"
        f"<h3>Scores</h3>{plots.histograms(f'Distributions of {target.name}, {title}', samples, _named(target))}"
        f"<h3>Gain by seed</h3>"
        f"{plots.bars(f'Gain by seed, {title}', [gain for _, gain in sorted_gains], f'gain, {_named(target)}')}"
        f"<details><summary>As a table</summary>"
        f"{_table(['seed', base.cell.model.name, tuned.cell.model.name, 'gain'], rows, f'Scores by {target.name}')}"
        f"</details>{_chosen(compared, sorted_gains, seeds, pictures)}</section>"
    )


def _chosen(compared: AgainstBase, gains: Sequence[tuple[int, float]], seeds: Sequence[int], pictures: Pictures) -> str:
    """Pictures of the best, the middle and the worst seeds by gain."""
    before, after = pictures(compared.base.cell), pictures(compared.cell.cell)
    middle = max((len(gains) - SHOWN) // 2, 0)
    groups = {"Best": gains[:SHOWN], "Middle": gains[middle : middle + SHOWN], "Worst": gains[-SHOWN:]}
    parts = []
    for name, group in groups.items():
        figures = "".join(
            f"<figure>{_image(np.concatenate([before[place], after[place]], axis=1), f'seed {seed}, before and after')}"
            f"<figcaption>seed {seed}: {gain:+.2f}</figcaption></figure>"
            for seed, gain in group
            for place in [seeds.index(seed)]
        )
        parts.append(f'<h3>{name} gains</h3><div class="pictures">{figures}</div>')
    names = f"{compared.base.cell.model.name} on the left, {compared.cell.cell.model.name} on the right"
    return f'<p class="soft">{escape(names)}</p>{"".join(parts)}'


def _one_seed(results: Results, pictures: Pictures) -> str:
    """The first seed's picture from each cell."""
    shown = results.cells[:ON_GRID]
    figures = "".join(
        f"<figure>{_image(pictures(result.cell)[0], result.cell.title)}"
        f"<figcaption>{escape(result.cell.title)}</figcaption></figure>"
        for result in shown
    )
    left = f" The first {len(shown)} of {len(results.cells)} cells." if len(shown) < len(results.cells) else ""
    said = f"Seed {results.evaluation.seeds[0]}, drawn in every way.{left}"
    return f'<section><h2>One seed</h2><p>{said}</p><div class="pictures">{figures}</div></section>'


def _image(pixels: np.ndarray, words: str) -> str:
    """A picture (H, W, 3) uint8 within the file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    height, width = pixels.shape[:2]
    scale = max(1, SIDE // height)
    data = base64.b64encode(buffer.getvalue()).decode()
    size = f'width="{width * scale}" height="{height * scale}"'
    return f'<img alt="{escape(words)}" {size} src="data:image/png;base64,{data}">'


def _method(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    seeds = facts["seeds"]
    return (
        f"<section><h2>How this was made</h2><pre>{escape(facts['command'])}</pre>"
        f"<p>{escape(facts['compute'])}; {escape(versions)}; seeds {seeds[0]} to {seeds[-1]}.</p></section>"
    )


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


def summary(result: CellResult, target: RewardSpec) -> str:
    """A cell in a line, for the command line."""
    interval = interval_of(result, target.name)
    bounds = " to ".join(f"{bound:.{target.decimals}f}" for bound in interval or ())
    cached = ", from the cache" if result.from_cache else ""
    mean = f"{result.mean(target.name):.{target.decimals}f}"
    return f"{result.cell.title}: {target.name} {mean} (95% {bounds}), {result.seconds:.3f} s a picture{cached}"

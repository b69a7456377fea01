"""The report: one HTML file that needs nothing else, for readers in a hurry, on paper, and with a screen reader."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from ddpo.evaluation import frontier, sections
from ddpo.evaluation.results import AgainstBase, CellResult, Pictures, Results, interval_of
from ddpo.evaluation.statistics import power_hint
from ddpo.rewards import RewardSpec

ON_GRID = 60  # cells of which a picture is shown
SIDE = 128  # pixels a side that a picture is shown with, at the least
STYLE = """
:root{color-scheme:light dark;--ink:#1d1d24;--soft:#5c5c6b;--line:#d9d9e0;--paper:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#ececf2;--soft:#a3a3b2;--line:#3b3b47;--paper:#15151b}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;padding:1rem;
max-width:60rem}
h1,h2,h3{line-height:1.2}.soft,figcaption,caption{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}caption{text-align:left;
position:sticky;left:0;max-width:calc(100vw - 2rem)}
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
    title = f"Evaluation: {', '.join(model.name for model in results.evaluation.models)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{_count(results)} {escape(power_hint(len(results.evaluation.seeds), len(results.comparisons) or 1))}</p>",
        sections.verdicts(results),
        sections.quality(results),
        sections.cells(results),
        sections.gains(results),
        sections.measures(results),
        frontier.section(results.evaluation),
        *(_of_comparison(compared, results, pictures) for compared in sections.highest(results)),
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


def _of_comparison(compared: AgainstBase, results: Results, pictures: Pictures) -> str:
    return (
        f"<section><h2>{escape(compared.cell.cell.title)}</h2>{sections.distributions(compared, results)}"
        f"{_chosen(compared, results, pictures)}</section>"
    )


def _chosen(compared: AgainstBase, results: Results, pictures: Pictures) -> str:
    """Pictures of the best, the middle and the worst seeds by gain."""
    before, after, seeds = pictures(compared.base.cell), pictures(compared.cell.cell), results.evaluation.seeds
    parts = []
    for name, group in sections.by_gain(compared, results).items():
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


def summary(result: CellResult, target: RewardSpec) -> str:
    """A cell in a line, for the command line."""
    interval = interval_of(result, target.name)
    bounds = " to ".join(f"{bound:.{target.decimals}f}" for bound in interval or ())
    cached = ", from the cache" if result.from_cache else ""
    mean = f"{result.mean(target.name):.{target.decimals}f}"
    return f"{result.cell.title}: {target.name} {mean} (95% {bounds}), {result.seconds:.3f} s a picture{cached}"

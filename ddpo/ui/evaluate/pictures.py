"""Pictures of an evaluation: the seeds that gained most, least and between, and one seed drawn in every way."""

from __future__ import annotations

from html import escape

import numpy as np
from PIL import Image

from ddpo.common.words import signed
from ddpo.evaluation import sections
from ddpo.evaluation.evaluate import pictures_in
from ddpo.evaluation.neighbours import nearest_pairs
from ddpo.evaluation.plan import Cell
from ddpo.evaluation.results import AgainstBase, Results
from ddpo.evaluation.store import CellStore
from ddpo.ui.shared.html import amount, data_uri

MOST_POINTS = 24  # schedulers with their steps of which a seed's picture is shown


def middle_seed(results: Results) -> int:
    """The place of the seed whose gain is in the middle, of the model that comes first."""
    best = sections.highest(results)
    if not best:
        return 0
    seed = sections.by_gain(best[0], results)["Middle"][0][0]
    return results.evaluation.seeds.index(seed)


def by_gain(results: Results, store: CellStore, chosen: int) -> str:
    """Best, middle and worst seeds of each model where it scores highest, the base's picture on the left.

    Args:
        results: with their pictures in the store.
        store: where the pictures are.
        chosen: place of the seed that is marked.

    Raises:
        UserError: the pictures are gone.
    """
    return "".join(_comparison(compared, results, store, chosen) for compared in sections.highest(results))


def neighbours(results: Results, store: CellStore) -> str:
    """Of each model where it scores highest, the pictures that are most like each other, beside those of its base.

    Raises:
        UserError: the pictures are gone.
    """
    of, groups = pictures_in(store, results), []
    for compared in sections.highest(results):
        for result in (compared.base, compared.cell):
            pictures, figures = of(result.cell), []
            for first, second, distance in nearest_pairs(pictures):
                seeds = f"seeds {results.evaluation.seeds[first]} and {results.evaluation.seeds[second]}"
                both = _image(np.concatenate([pictures[first], pictures[second]], axis=1), f"{seeds}, most alike")
                caption = f"<figcaption><span>{seeds}</span><span>{distance:.2f}</span></figcaption>"
                figures.append(f'<figure class="pic">{both}{caption}</figure>')
            if figures:
                title = escape(result.cell.title)
                groups.append(f'<section><h4>{title}</h4><div class="pairs">{"".join(figures)}</div></section>')
    if not groups:
        return ""
    return (
        '<div class="card evaluation by-gain"><h2>Most alike</h2><p>The nearest pairs among the pictures of a model, '
        "with their distance: 0 is the same picture twice. Pairs nearer than the base's are a sign of collapse.</p>"
        f'<div class="gain-groups">{"".join(groups)}</div></div>'
    )


def _comparison(compared: AgainstBase, results: Results, store: CellStore, chosen: int) -> str:
    of, spec = pictures_in(store, results), results.evaluation.target
    before, after = of(compared.base.cell), of(compared.cell.cell)
    groups = []
    for name, gains in sections.by_gain(compared, results).items():
        figures = []
        for seed, gain in gains:
            place = results.evaluation.seeds.index(seed)
            both = _image(np.concatenate([before[place], after[place]], axis=1), f"Seed {seed}, before and after")
            kind = "up" if gain > 0 else "down" if gain < 0 else "same"
            figures.append(
                f'<figure class="pic{" chosen" if place == chosen else ""}" data-index="{place}" role="button" '
                f'tabindex="0">{both}<figcaption><span>seed {seed}</span><em class="{kind}">'
                f"{signed(gain, spec.decimals)}</em></figcaption></figure>"
            )
        groups.append(f'<section><h4>{name} gains</h4><div class="pairs">{"".join(figures)}</div></section>')
    title = escape(f"{compared.cell.cell.title}: best, middle and worst")
    left, right = escape(compared.base.cell.model.name), escape(compared.cell.cell.model.name)
    return (
        f'<div class="card evaluation by-gain done"><h2>{title}</h2><p>{left} on the left, {right} on the right, by '
        f'{escape(spec.name)}. Press one to see its seed drawn in every way.</p><div class="gain-groups">'
        f"{''.join(groups)}</div></div>"
    )


def one_seed(results: Results, store: CellStore, place: int) -> str:
    """A seed's pictures: a row for each scheduler and number of steps, a column for each model.

    Raises:
        UserError: the pictures are gone.
    """
    evaluation, of = results.evaluation, pictures_in(store, results)
    heads = "".join(f'<th scope="col">{escape(model.name)}</th>' for model in evaluation.models)
    rows = []
    for point in evaluation.points[:MOST_POINTS]:
        cells = []
        for model in evaluation.models:
            result = results.by_cell.get(Cell(model, point))
            if result is None:
                cells.append("<td></td>")
                continue
            score = amount(result.scores[evaluation.target.name][place], evaluation.target)
            picture = _image(of(result.cell)[place], f"{result.cell.title}, score {score}")
            cells.append(f"<td>{picture}<small>{escape(score)}</small></td>")
        rows.append(f'<tr><th scope="row">{escape(point.title)}</th>{"".join(cells)}</tr>')
    left = len(evaluation.points) - len(rows)
    more = f" The first {len(rows)} of {left + len(rows)} ways." if left else ""
    return (
        f'<div class="card evaluation one-seed"><h2>Seed {evaluation.seeds[place]}, drawn in every way</h2>'
        f"<p>The same noise in each picture, with its {escape(evaluation.target.name)} score.{more}</p>"
        f'<div class="wide" tabindex="0"><table><thead><tr><th></th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div></div>"
    )


def _image(pixels: np.ndarray, words: str) -> str:
    """A picture (H, W, 3) uint8 within the page."""
    return f'<img alt="{escape(words)}" src="{data_uri(Image.fromarray(pixels))}">'

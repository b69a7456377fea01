"""Charts as inline SVG: they take the page's colours, scale with their box and need no library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeVar

T = TypeVar("T")
MOST_POINTS = 400  # of a curve
MAX_ROWS = 200  # of a table
MAX_TIPS = 60  # places of a chart that say their value under the pointer
HEADROOM = 0.06  # share of the height left free above and below
ALONE = (0.48, 0.52)  # from where to where a single epoch reaches, as shares of the width


@dataclass(frozen=True)
class Curve:
    """What a chart shows: one value an epoch, perhaps with a band around it."""

    title: str
    epochs: Sequence[int]
    values: Sequence[float]
    show: Callable[[float], str]  # a value in words
    band: Sequence[tuple[float, float]] = ()  # low and high of every epoch
    floor: float | None = None  # a value that the axis always reaches down to
    ceiling: float | None = None  # a value that the axis does not go beyond, unless a value does
    reference: float | None = None  # where a dashed line stands
    note: str = ""  # below the chart


def thinned(values: Sequence[T]) -> list[T]:
    """At most MOST_POINTS of them, evenly spread, with the last."""
    stride = -(-len(values) // MOST_POINTS) or 1
    return list(values[::-stride])[::-1]


def chart(curve: Curve, wide: bool = False) -> str:
    """The chart as HTML, with the newest value beside its title."""
    if not curve.values:
        return ""
    low, high = _range(curve)
    xs = [_share(epoch, curve.epochs[0], curve.epochs[-1]) for epoch in curve.epochs]
    ys = [1 - _share(value, low, high) for value in curve.values]
    last = curve.show(curve.values[-1])
    label = f"{curve.title}, epoch {curve.epochs[0]} to {curve.epochs[-1]}, now {last}"
    drawn = (
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{_band(curve, xs, low, high)}'
        f'{_reference(curve, low, high)}<polyline class="curve" points="{_points(xs, ys)}"/></svg>'
        f'<i class="dot" style="left:{xs[-1]:.2%};top:{ys[-1]:.2%}"></i>{_tips(curve, xs)}'
    )
    return (
        f'<figure class="chart{" chart-wide" if wide else ""}">'
        f"<figcaption><span>{escape(curve.title)}</span><b>{escape(last)}</b></figcaption>"
        f'<div class="plot" tabindex="0" role="group" aria-label="{escape(label)}; the arrow keys tell its values">'
        f'{drawn}</div><output class="tip"></output>{_axis(curve, low, high)}</figure>'
    )


def _axis(curve: Curve, low: float, high: float) -> str:
    """Below the chart: its first and last epoch, and between them from where to where it reaches."""
    between = f"{curve.show(low)} to {curve.show(high)}{curve.note}"
    first, last = curve.epochs[0], curve.epochs[-1]
    end = str(last) if last != first else ""
    return f'<div class="axis"><span>epoch {first}</span><span>{escape(between)}</span><span>{end}</span></div>'


def _range(curve: Curve) -> tuple[float, float]:
    """Lowest and highest value of the axis."""
    seen = [*curve.values, *(value for pair in curve.band for value in pair)]
    seen += [value for value in (curve.floor, curve.reference) if value is not None]
    low, high = min(seen), max(seen)
    if high == low:
        free = abs(low) / 10 or 1.0
        return low if low == curve.floor else low - free, low + free
    free = (high - low) * HEADROOM
    top = high + free if curve.ceiling is None or high > curve.ceiling else min(high + free, curve.ceiling)
    return (low if low == curve.floor else low - free), top


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _points(xs: Sequence[float], ys: Sequence[float]) -> str:
    """A line needs two points: a single one becomes a short level line."""
    if len(xs) == 1:
        return " ".join(f"{100 * x:.2f},{100 * ys[0]:.2f}" for x in ALONE)
    return " ".join(f"{100 * x:.2f},{100 * y:.2f}" for x, y in zip(xs, ys, strict=True))


def _band(curve: Curve, xs: Sequence[float], low: float, high: float) -> str:
    if not curve.band:
        return ""
    edges = list(xs) if len(xs) > 1 else list(ALONE)
    pairs = list(curve.band) if len(xs) > 1 else [curve.band[0], curve.band[0]]
    upper = _points(edges, [1 - _share(top, low, high) for _, top in pairs])
    lower = _points(edges[::-1], [1 - _share(bottom, low, high) for bottom, _ in pairs[::-1]])
    return f'<polygon class="band" points="{upper} {lower}"/>'


def _reference(curve: Curve, low: float, high: float) -> str:
    if curve.reference is None:
        return ""
    y = 100 * (1 - _share(curve.reference, low, high))
    return f'<line class="reference" x1="0" x2="100" y1="{y:.2f}" y2="{y:.2f}"/>'


def _tips(curve: Curve, xs: Sequence[float]) -> str:
    """Unseen columns that say their epoch's value under the pointer."""
    stride = -(-len(xs) // MAX_TIPS)
    chosen = range(len(xs) - 1, -1, -stride)[::-1]
    width = 1 / (len(chosen) - 1) if len(chosen) > 1 else 1.0
    edges = {i: (max(0.0, xs[i] - width / 2), min(1.0, xs[i] + width / 2)) for i in chosen}
    return "".join(
        f'<u style="left:{start:.2%};width:{end - start:.2%}" data-tip="{escape(_tip(curve, i))}"></u>'
        for i, (start, end) in edges.items()
    )


def _tip(curve: Curve, index: int) -> str:
    text = f"epoch {curve.epochs[index]}: {curve.show(curve.values[index])}"
    if curve.band:
        low, high = curve.band[index]
        text += f" ({curve.show(low)} to {curve.show(high)})"
    return text


def table(curves: Sequence[Curve]) -> str:
    """The values of charts as one table, folded up: a row an epoch, at most MAX_ROWS of them."""
    curves = [curve for curve in curves if curve.values]
    epochs = sorted({epoch for curve in curves for epoch in curve.epochs})
    if not epochs:
        return ""
    stride = -(-len(epochs) // MAX_ROWS)
    values = [dict(zip(curve.epochs, map(curve.show, curve.values), strict=True)) for curve in curves]
    heading = "".join(f'<th scope="col">{escape(text)}</th>' for text in ("Epoch", *(curve.title for curve in curves)))
    cells = {epoch: "".join(f"<td>{escape(of.get(epoch, ''))}</td>" for of in values) for epoch in epochs[::-stride]}
    rows = "".join(f'<tr><th scope="row">{epoch}</th>{row}</tr>' for epoch, row in cells.items())
    return (
        f'<details class="values"><summary>Values as a table</summary><div class="wide" tabindex="0"><table><thead><tr>'
        f"{heading}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )

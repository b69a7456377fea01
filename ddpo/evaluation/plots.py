"""Plots as SVG, drawn without a script: they stand in a file that is read anywhere, and follow light and dark.

Colours are classes (`s0` .. `s5`), which `report.STYLE` defines. Base and others differ by a dash too, as colours alone
do not tell for everybody. Each plot has a title, and stands beside a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 380  # of the view box; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 64, 200, 16, 48  # margins; names of series stand on the right
SERIES = 6  # colours and dashes that there are
DASHES = ("", "7 4")  # base, others
BINS = 16


@dataclass(frozen=True)
class Series:
    """A line, or the bars of a histogram."""

    name: str
    points: Sequence[tuple[float, float]]  # (x, y)
    colour: int = 0  # 0 .. SERIES - 1, and again
    dashed: bool = False
    errors: Sequence[tuple[float, float]] = ()  # lower and upper end of each point's interval
    marked: int | None = None  # index of the point with a ring
    faint: bool = False  # one of many: thin, without dots, and not in the legend


@dataclass(frozen=True)
class Axes:
    """From values to places in the view box."""

    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool = False

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a value lies."""
        low, high = (math.log10(bound) for bound in self.x) if self.log_x else self.x
        across = ((math.log10(x) if self.log_x else x) - low) / ((high - low) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def lines(title: str, series: Sequence[Series], x_title: str, y_title: str, log_x: bool = False) -> str:
    """Lines with the intervals of their points and a ring around those that are marked.

    Args:
        title: for screen readers.
        series: at least one with at least one point; x above 0 where log_x.
        x_title: of the axis, with its unit.
        y_title: likewise.
        log_x: whether x is on a logarithmic axis.
    """
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points] + [y for line in series for pair in line.errors for y in pair]
    axes = Axes(_span(xs, log_x), _span(ys), log_x)
    parts = [_frame(axes, x_title, y_title)]
    for line in series:
        places = [axes.at(x, y) for x, y in line.points]
        for (x, _), (low, high) in zip(line.points, line.errors, strict=False):
            (px, bottom), (_, top) = axes.at(x, low), axes.at(x, high)
            parts.append(f'<path class="thin {_class(line)}" d="M{px:.1f} {bottom:.1f}V{top:.1f}"/>')
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path class="{"faint " if line.faint else ""}{_class(line)}" d="M{way}"{_dash(line)}/>')
        for place, (x, y) in enumerate([] if line.faint else places):
            ring = ' r="8" class="ring"' if place == line.marked else f' r="3" class="dot {_class(line)}"'
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}"{ring}/>')
    return _svg(title, [*parts, _legend(series)])


def histograms(title: str, samples: Sequence[tuple[str, Sequence[float]]], x_title: str) -> str:
    """Outlines of the distributions of several samples over the same bins, in shares of each sample."""
    low, high = _span([value for _, values in samples for value in values])
    step = (high - low) / BINS
    series = []
    for number, (name, values) in enumerate(samples):
        counts = [0] * BINS
        for value in values:
            counts[min(int((value - low) / step), BINS - 1)] += 1
        outline = [(low, 0.0)]
        for place, count in enumerate(counts):
            share = 100 * count / len(values)
            outline += [(low + place * step, share), (low + (place + 1) * step, share)]
        series.append(Series(name, [*outline, (high, 0.0)], number, dashed=number > 0))
    axes = Axes((low, high), (0, max(y for line in series for _, y in line.points) * 1.05))
    parts = [_frame(axes, x_title, "share of the pictures, %")]
    for line in series:
        way = "L".join("{:.1f} {:.1f}".format(*axes.at(x, y)) for x, y in line.points)
        parts.append(f'<path class="{_class(line)}" d="M{way}"{_dash(line)}/>')
    return _svg(title, [*parts, _legend(series)])


def bars(title: str, values: Sequence[float], y_title: str) -> str:
    """A bar for each value, in the order given, up from zero or down."""
    axes = Axes((0, len(values)), _span([*values, 0.0]))
    parts = [_frame(axes, f"the {len(values)} seeds, sorted", y_title, with_x=False)]
    for place, value in enumerate(values):
        (x, top), (after, zero) = axes.at(place, max(value, 0)), axes.at(place + 1, 0)
        bottom = axes.at(place, min(value, 0))[1]
        kind = "up" if value > 0 else "down"
        width, height = max(after - x - 1, 0.5), max(bottom - top, 0.5)
        parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>')
    parts.append(f'<path class="axis" d="M{LEFT} {zero:.1f}H{WIDTH - RIGHT}"/>')
    return _svg(title, parts)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values between two, about so many (Heckbert 1990, "Nice numbers for graph labels")."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * nice for nice in (1, 2, 5, 10) if scale * nice >= raw)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _span(values: Sequence[float], log: bool = False) -> tuple[float, float]:
    """The range of values with some air."""
    low, high = min(values), max(values)
    if log:
        return low / 1.15, high * 1.15
    air = (high - low) * 0.05 or max(abs(low) * 0.05, 0.5)
    return low - air, high + air


def _frame(axes: Axes, x_title: str, y_title: str, with_x: bool = True) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for value in ticks(*axes.y):
        y = axes.at(axes.x[0], value)[1]
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_label(value, 4)}</text>')
    for value in _x_ticks(axes) if with_x else []:
        x = axes.at(value, axes.y[0])[0]
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_label(value, 3)}</text>')
    middle = (TOP + bottom) / 2
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>')
    parts.append(f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>')
    return "".join(parts)


def _label(value: float, digits: int) -> str:
    """A tick's number; from a thousand on without a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def _x_ticks(axes: Axes) -> list[float]:
    if not axes.log_x:
        return ticks(*axes.x)
    low, high = (math.log10(bound) for bound in axes.x)
    decades = range(math.floor(low), math.ceil(high) + 1)
    steps = (1, 2, 5) if high - low < 3 else (1,)
    return [value for power in decades for nice in steps if axes.x[0] <= (value := nice * 10.0**power) <= axes.x[1]]


def _legend(series: Sequence[Series]) -> str:
    parts = []
    for place, line in enumerate(line for line in series if not line.faint):
        x, y = WIDTH - RIGHT + 12, TOP + 12 + 18 * place
        parts.append(f'<path class="{_class(line)}" d="M{x} {y}h24"{_dash(line)}/>')
        parts.append(f'<text x="{x + 30}" y="{y + 4}">{escape(line.name)}</text>')
    return "".join(parts)


def _class(line: Series) -> str:
    return f"s{line.colour % SERIES}"


def _dash(line: Series) -> str:
    return f' stroke-dasharray="{DASHES[1]}"' if line.dashed else ""


def _svg(title: str, parts: Sequence[str]) -> str:
    name = escape(title, quote=True)
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}"'
    return f"<svg {box}><title>{name}</title>{''.join(parts)}</svg>"

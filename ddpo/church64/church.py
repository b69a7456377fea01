"""The church of a scene: a nave, its windows, and a tower with what it carries."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageDraw

from ddpo.church64.canvas import CANVAS, Canvas
from ddpo.church64.moods import Colour, mix


@dataclass(frozen=True)
class _Tower:
    """Where the tower stands, in pixels of the canvas, and its colours."""

    x: float  # of its left edge
    width: float
    foot: float
    height: float
    wall: Colour
    shade: Colour  # of a wall that the light does not reach
    roof: Colour
    scale: float  # of the whole church

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.foot - self.height


def draw_church(canvas: Canvas) -> None:
    """A nave with a pitched roof and a tower with a spire, lit from one side."""
    scale = canvas.uniform(0.8, 1.25)
    foot = canvas.horizon + canvas.uniform(4, 16)
    wall, roof = canvas.tint(canvas.mood.wall), canvas.tint(canvas.mood.roof)
    shade = mix(wall, (30, 30, 50), 0.28)
    nave_w, nave_h = scale * canvas.uniform(52, 84), scale * canvas.uniform(26, 38)
    roof_h = scale * canvas.uniform(18, 30)
    tower_w, tower_h = scale * canvas.uniform(20, 28), nave_h + scale * canvas.uniform(22, 46)
    left_tower = canvas.rng.random() < 0.5
    x0 = CANVAS * canvas.uniform(0.36, 0.64) - nave_w / 2
    x1 = x0 + nave_w
    tower_x = x0 - tower_w * 0.5 if left_tower else x1 - tower_w * 0.5
    tower = _Tower(tower_x, tower_w, foot, tower_h, wall, shade, roof, scale)

    ridge_inset = canvas.uniform(0.0, 0.12) * nave_w
    canvas.draw.rectangle([x0, foot - nave_h, x1, foot], fill=wall if canvas.lit_from_left != left_tower else shade)
    eaves = 3 * scale
    canvas.pen("roof").polygon(
        [
            (x0 - eaves, foot - nave_h),
            (x0 + ridge_inset, foot - nave_h - roof_h),
            (x1 - ridge_inset, foot - nave_h - roof_h),
            (x1 + eaves, foot - nave_h),
        ],
        fill=roof,
    )
    _draw_windows(canvas, x0, x1, nave_h, tower)
    _draw_tower(canvas, tower)


def _draw_windows(canvas: Canvas, x0: float, x1: float, nave_h: float, tower: _Tower) -> None:
    """Those of the nave, but for the ones that the tower hides."""
    colour = canvas.tint(canvas.mood.window, 6)
    count = int(canvas.rng.integers(2, 5))
    width, height = (x1 - x0) / (count * 2.6), nave_h * 0.5
    for i in range(count):
        x = x0 + (x1 - x0) * (i + 0.5) / count
        if not tower.x - width < x < tower.x + tower.width + width:
            _draw_arch(canvas.pen("windows"), x, tower.foot - nave_h * 0.28, width, height, colour)


def _draw_tower(canvas: Canvas, tower: _Tower) -> None:
    light, dark = (tower.wall, tower.shade) if canvas.lit_from_left else (tower.shade, tower.wall)
    x, width, middle, top, scale = tower.x, tower.width, tower.middle, tower.top, tower.scale
    pen = canvas.pen("tower")
    pen.rectangle([x, top, x + width, tower.foot], fill=light)
    pen.rectangle([middle + width * 0.12, top, x + width, tower.foot], fill=dark)
    window = canvas.tint(canvas.mood.window, 6)
    door = mix(window, (40, 24, 16), 0.55)
    _draw_arch(canvas.pen("tower", "door"), middle, tower.foot, width * 0.42, scale * 16, door)
    _draw_arch(pen, middle, top + scale * 20, width * 0.3, scale * 13, window)  # the belfry
    _draw_top(canvas, tower, light)


def _draw_top(canvas: Canvas, tower: _Tower, light: Colour) -> None:
    """A pointed spire or an onion dome, each with a cross, or battlements."""
    x, width, middle, top, scale = tower.x, tower.width, tower.middle, tower.top, tower.scale
    spire, kind = scale * canvas.uniform(22, 44), canvas.rng.random()
    pen = canvas.pen("tower", "spire") if kind < 0.88 else canvas.pen("tower")
    if kind < 0.7:  # pointed
        overhang = 2 * scale
        pen.polygon([(x - overhang, top), (middle, top - spire), (x + width + overhang, top)], fill=tower.roof)
        tip = top - spire
    elif kind < 0.88:  # onion dome
        tip = top - width * 0.9
        pen.ellipse([x - 1, top - width * 0.8, x + width + 1, top + width * 0.25], fill=tower.roof)
        pen.polygon([(middle - 4, top - width * 0.7), (middle, tip), (middle + 4, top - width * 0.7)], fill=tower.roof)
    else:  # battlements
        tip = top - 5 * scale
        step = width / 5
        for i in range(0, 5, 2):
            pen.rectangle([x + i * step, tip, x + (i + 1) * step, top], fill=light)
        return
    cross = mix(tower.roof, (20, 20, 20), 0.5) if not canvas.mood.stars else (120, 112, 96)
    pen.line([(middle, tip + 2), (middle, tip - 10 * scale)], fill=cross, width=4)
    pen.line([(middle - 4.5 * scale, tip - 6 * scale), (middle + 4.5 * scale, tip - 6 * scale)], fill=cross, width=3)


def _draw_arch(pen: ImageDraw.ImageDraw, x: float, bottom: float, width: float, height: float, colour: Colour) -> None:
    """A window or a door with a round top, its middle at x."""
    top = bottom - height
    pen.rectangle([x - width / 2, top + width / 2, x + width / 2, bottom], fill=colour)
    pen.ellipse([x - width / 2, top, x + width / 2, top + width], fill=colour)

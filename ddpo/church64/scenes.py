"""Drawn churches: the training data of the bundled pair.

Every scene is a function of one integer, so the whole data set is a range of seeds and needs no files and no licence.
About a third of the scenes are dull on purpose (overcast or foggy, low contrast): that is what finetuning has to find.

A scene knows which parts it drew, and can leave parts out while everything else stays as it is. That labels pictures
for `ddpo/church64/parts.py` without anybody's work.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

CANVAS = 192  # pixels a side while drawing; three times the model's 64, so that edges are anti-aliased
SIZE = 64

Colour = tuple[int, int, int]
# What a scene can tell of itself and leave out. The spire, be it pointed or a dome, and the door belong to the tower.
PARTS = ("tower", "spire", "roof", "door", "windows", "light")


@dataclass(frozen=True)
class Mood:
    """Colours of one kind of light. All are sRGB in 0..255; `veil` and `fog` are fractions in 0..1."""

    weight: float  # share of the scenes
    sky_top: Colour
    sky_low: Colour
    land: Colour
    hill: Colour
    wall: Colour
    roof: Colour
    window: Colour
    cloud: Colour
    light: Colour | None = None  # sun or moon, where one is to be seen
    light_height: tuple[float, float] = (0.1, 0.35)  # of its centre, as a fraction of the picture
    clouds: tuple[int, int] = (0, 3)  # how many, lower and upper bound (excluded)
    veil: float = 0.0  # how far every colour is drawn towards the low sky: dull light
    fog: float = 0.0  # opacity of the fog at the ground
    stars: bool = False
    snow: bool = False


MOODS: dict[str, Mood] = {
    "overcast": Mood(
        0.20, (150, 155, 162), (186, 188, 190), (120, 126, 108), (134, 139, 134), (168, 163, 155),
        (112, 106, 104), (88, 90, 96), (172, 174, 178), clouds=(2, 5), veil=0.35,
    ),
    "fog": Mood(
        0.14, (176, 180, 184), (204, 205, 205), (138, 144, 134), (164, 168, 168), (170, 168, 164),
        (132, 130, 130), (120, 122, 126), (196, 198, 200), clouds=(0, 2), veil=0.40, fog=0.75,
    ),
    "clear": Mood(
        0.20, (58, 120, 200), (170, 210, 236), (92, 148, 62), (84, 132, 92), (232, 220, 196),
        (158, 72, 52), (62, 70, 92), (246, 248, 250), light=(255, 244, 200), clouds=(0, 4),
    ),
    "golden": Mood(
        0.14, (92, 142, 196), (250, 214, 150), (150, 142, 58), (124, 122, 72), (244, 206, 146),
        (150, 78, 46), (84, 66, 70), (254, 232, 200), light=(255, 236, 170), light_height=(0.25, 0.5), clouds=(0, 4),
    ),
    "sunset": Mood(
        0.13, (74, 62, 128), (250, 138, 72), (74, 66, 62), (96, 64, 92), (150, 98, 92),
        (78, 46, 58), (255, 206, 110), (240, 142, 122), light=(255, 214, 120), light_height=(0.42, 0.58), clouds=(1, 4),
    ),
    "night": Mood(
        0.09, (10, 16, 46), (46, 62, 112), (28, 42, 44), (26, 36, 62), (84, 88, 112),
        (64, 56, 88), (255, 204, 96), (52, 62, 98), light=(240, 240, 222), clouds=(0, 3), stars=True,
    ),
    "snow": Mood(
        0.10, (108, 158, 208), (214, 228, 240), (240, 244, 248), (186, 204, 220), (206, 180, 152),
        (244, 247, 250), (94, 82, 92), (240, 244, 248), light=(255, 246, 220), clouds=(0, 3), snow=True,
    ),
}  # fmt: skip


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


class Scene:
    """One drawing in progress: the canvas, its mood, the random numbers of its seed, and the parts drawn so far.

    Args:
        seed: any integer >= 0.
        without: parts (of `PARTS`) to leave out; the rest is drawn as if they were there.
    """

    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        self.without, self.parts = frozenset(without), set[str]()
        self.rng = np.random.default_rng([2305, 13301, seed])
        names = list(MOODS)
        weights = np.array([MOODS[name].weight for name in names])
        self.name = names[self.rng.choice(len(names), p=weights / weights.sum())]
        self.mood = MOODS[self.name]
        self.horizon = CANVAS * self.rng.uniform(0.62, 0.78)
        self.lit_from_left = bool(self.rng.random() < 0.5)
        self.image = Image.new("RGB", (CANVAS, CANVAS))
        self.draw = ImageDraw.Draw(self.image)

    def tint(self, colour: Colour, spread: float = 10.0) -> Colour:
        """The colour with a little variety, veiled by the mood's light."""
        varied = np.clip(
            np.array(colour) + self.rng.normal(0, spread) * 0.6 + self.rng.normal(0, spread, 3) * 0.5, 0, 255
        )
        return _mix(tuple(int(v) for v in varied), self.mood.sky_low, self.mood.veil)  # type: ignore[arg-type]

    def uniform(self, low: float, high: float) -> float:
        """A random number, even between the two."""
        return float(self.rng.uniform(low, high))

    def pen(self, *parts: str) -> ImageDraw.ImageDraw:
        """What draws a part that belongs to all of these: on the picture, or on waste paper where one is left out."""
        if self.without.intersection(parts):
            return ImageDraw.Draw(Image.new("RGB", self.image.size))
        self.parts.update(parts)
        return self.draw

    # Back to front -------------------------------------------------------------------------------------------------

    def sky(self) -> None:
        """A gradient from the top down to the horizon, with stars at night."""
        top, low = self.tint(self.mood.sky_top), self.tint(self.mood.sky_low, 6)
        for row in range(int(self.horizon) + 2):
            self.draw.line([(0, row), (CANVAS, row)], fill=_mix(top, low, row / self.horizon))
        if self.mood.stars:
            self._stars(top, low)

    def _stars(self, top: Colour, low: Colour) -> None:
        """Few stars that glow, none smaller than a pixel of the finished picture: those are noise to a small model."""
        for _ in range(int(self.rng.integers(7, 17))):
            x, y = self.uniform(0, CANVAS), self.uniform(0, self.horizon * 0.75)
            radius, sky = self.uniform(1.6, 2.8), _mix(top, low, y / self.horizon)
            for size, share in ((2.2, 0.25), (1.0, 0.95)):
                r = radius * size
                self.draw.ellipse([x - r, y - r, x + r, y + r], fill=_mix(sky, (240, 238, 216), share))

    def sun_or_moon(self) -> None:
        """A disc with a soft halo, where the mood has one."""
        if self.mood.light is None or self.rng.random() < 0.25:
            return
        side = self.uniform(0.08, 0.35)
        x = CANVAS * (side if self.lit_from_left else 1 - side)
        y = CANVAS * self.uniform(*self.mood.light_height)
        radius = self.uniform(8, 14)
        behind = self.image.getpixel((int(x), min(int(y), CANVAS - 1)))
        pen = self.pen("light")
        for ring in (2.2, 1.6):  # a soft halo
            r = radius * ring
            halo = _mix(behind, self.mood.light, 0.22 if ring > 2 else 0.4)  # type: ignore[arg-type]
            pen.ellipse([x - r, y - r, x + r, y + r], fill=halo)
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=self.mood.light)

    def cloud_bank(self) -> None:
        """Clouds of a few ellipses each."""
        for _ in range(int(self.rng.integers(*self.mood.clouds))):
            x, y = self.uniform(0, CANVAS), self.uniform(CANVAS * 0.06, self.horizon * 0.55)
            width, colour = self.uniform(26, 60), self.tint(self.mood.cloud, 5)
            for _ in range(int(self.rng.integers(3, 6))):
                cx, w = x + self.uniform(-0.5, 0.5) * width, width * self.uniform(0.35, 0.7)
                h = w * self.uniform(0.3, 0.45)
                self.draw.ellipse([cx - w / 2, y - h, cx + w / 2, y + h * 0.6], fill=colour)

    def hills(self) -> None:
        """Up to two ridges behind everything else."""
        for layer in range(int(self.rng.integers(0, 3))):
            colour = _mix(self.tint(self.mood.hill), self.mood.sky_low, 0.25 * (1 - layer))
            height, period, phase = self.uniform(8, 26), self.uniform(0.6, 1.6), self.uniform(0, 2 * math.pi)
            base = self.horizon - 4 + 4 * layer
            ridge = [
                (x, base - height * (0.5 + 0.5 * math.sin(phase + x / CANVAS * 2 * math.pi * period)))
                for x in range(0, CANVAS + 8, 8)
            ]
            self.draw.polygon([*ridge, (CANVAS + 8, CANVAS), (0, CANVAS)], fill=colour)

    def ground(self) -> None:
        """The land before the horizon, paler far away."""
        near = self.tint(self.mood.land)
        far = _mix(near, self.mood.sky_low, 0.25)
        for y in range(int(self.horizon), CANVAS):
            share = (y - self.horizon) / (CANVAS - self.horizon)
            self.draw.line([(0, y), (CANVAS, y)], fill=_mix(far, near, share))

    def church(self) -> None:
        """A nave with a pitched roof and a tower with a spire, lit from one side."""
        scale = self.uniform(0.8, 1.25)
        foot = self.horizon + self.uniform(4, 16)
        wall, roof = self.tint(self.mood.wall), self.tint(self.mood.roof)
        shade = _mix(wall, (30, 30, 50), 0.28)
        nave_w, nave_h = scale * self.uniform(52, 84), scale * self.uniform(26, 38)
        roof_h = scale * self.uniform(18, 30)
        tower_w, tower_h = scale * self.uniform(20, 28), nave_h + scale * self.uniform(22, 46)
        left_tower = self.rng.random() < 0.5
        x0 = CANVAS * self.uniform(0.36, 0.64) - nave_w / 2
        x1 = x0 + nave_w
        tower_x = x0 - tower_w * 0.5 if left_tower else x1 - tower_w * 0.5

        ridge_inset = self.uniform(0.0, 0.12) * nave_w
        self.draw.rectangle([x0, foot - nave_h, x1, foot], fill=wall if self.lit_from_left != left_tower else shade)
        eaves = 3 * scale
        self.pen("roof").polygon(
            [
                (x0 - eaves, foot - nave_h),
                (x0 + ridge_inset, foot - nave_h - roof_h),
                (x1 - ridge_inset, foot - nave_h - roof_h),
                (x1 + eaves, foot - nave_h),
            ],
            fill=roof,
        )
        self._windows(x0, x1, foot, nave_h, tower_x, tower_w)
        self._tower(tower_x, tower_w, foot, tower_h, wall, shade, roof, scale)

    def _windows(self, x0: float, x1: float, foot: float, nave_h: float, tower_x: float, tower_w: float) -> None:
        colour = self.tint(self.mood.window, 6)
        count = int(self.rng.integers(2, 5))
        width, height = (x1 - x0) / (count * 2.6), nave_h * 0.5
        for i in range(count):
            x = x0 + (x1 - x0) * (i + 0.5) / count
            if tower_x - width < x < tower_x + tower_w + width:
                continue  # hidden by the tower
            _arch(self.pen("windows"), x, foot - nave_h * 0.28, width, height, colour)

    def _tower(
        self,
        x: float,
        width: float,
        foot: float,
        height: float,
        wall: Colour,
        shade: Colour,
        roof: Colour,
        scale: float,
    ) -> None:
        middle, top = x + width / 2, foot - height
        light, dark = (wall, shade) if self.lit_from_left else (shade, wall)
        pen = self.pen("tower")
        pen.rectangle([x, top, x + width, foot], fill=light)
        pen.rectangle([middle + width * 0.12, top, x + width, foot], fill=dark)
        window = self.tint(self.mood.window, 6)
        _arch(self.pen("tower", "door"), middle, foot, width * 0.42, scale * 16, _mix(window, (40, 24, 16), 0.55))
        _arch(pen, middle, top + scale * 20, width * 0.3, scale * 13, window)  # the belfry
        self._top(x, width, top, light, roof, scale)

    def _top(self, x: float, width: float, top: float, light: Colour, roof: Colour, scale: float) -> None:
        """A pointed spire or an onion dome, each with a cross, or battlements."""
        middle, spire, kind = x + width / 2, scale * self.uniform(22, 44), self.rng.random()
        pen = self.pen("tower", "spire") if kind < 0.88 else self.pen("tower")
        if kind < 0.7:  # pointed
            overhang = 2 * scale
            pen.polygon([(x - overhang, top), (middle, top - spire), (x + width + overhang, top)], fill=roof)
            tip = top - spire
        elif kind < 0.88:  # onion dome
            tip = top - width * 0.9
            pen.ellipse([x - 1, top - width * 0.8, x + width + 1, top + width * 0.25], fill=roof)
            pen.polygon([(middle - 4, top - width * 0.7), (middle, tip), (middle + 4, top - width * 0.7)], fill=roof)
        else:  # battlements
            tip = top - 5 * scale
            step = width / 5
            for i in range(0, 5, 2):
                pen.rectangle([x + i * step, tip, x + (i + 1) * step, top], fill=light)
            return
        cross = _mix(roof, (20, 20, 20), 0.5) if not self.mood.stars else (120, 112, 96)
        pen.line([(middle, tip + 2), (middle, tip - 10 * scale)], fill=cross, width=4)
        pen.line(
            [(middle - 4.5 * scale, tip - 6 * scale), (middle + 4.5 * scale, tip - 6 * scale)], fill=cross, width=3
        )

    def path(self) -> None:
        """A path that leads to the door, in half of the scenes."""
        if self.rng.random() < 0.5:
            return
        colour = _mix(self.tint(self.mood.land, 4), self.tint(self.mood.wall, 4), 0.55)
        x, foot = CANVAS * self.uniform(0.35, 0.65), self.horizon + 12
        drift = self.uniform(-30, 30)
        self.draw.polygon(
            [(x - 4, foot), (x + 4, foot), (x + drift + 26, CANVAS), (x + drift - 26, CANVAS)], fill=colour
        )

    def trees(self) -> None:
        """Conifers or broad-leaved trees at the sides."""
        conifer = bool(self.rng.random() < 0.5)
        green = _mix(self.mood.land, (26, 62, 36), 0.7 if not self.mood.stars else 0.4)
        for _ in range(int(self.rng.integers(0, 6))):
            side = self.uniform(0.02, 0.26)
            x = CANVAS * (side if self.rng.random() < 0.5 else 1 - side)
            foot = self.horizon + self.uniform(2, 26)
            height, width = self.uniform(24, 52), self.uniform(14, 24)
            crown = self.tint(green)
            self.draw.rectangle([x - 2, foot - height * 0.35, x + 2, foot], fill=self.tint((84, 62, 46), 5))
            if conifer:
                for tier, (low, high, share) in enumerate(((0.12, 0.55, 1.0), (0.35, 0.78, 0.8), (0.58, 1.0, 0.55))):
                    w = width * share
                    fill = (240, 244, 248) if self.mood.snow and tier == 2 else crown
                    self.draw.polygon(
                        [(x - w / 2, foot - height * low), (x, foot - height * high), (x + w / 2, foot - height * low)],
                        fill=fill,
                    )
            else:
                top = foot - height
                self.draw.ellipse([x - width * 0.6, top, x + width * 0.6, foot - height * 0.25], fill=crown)

    def weather(self) -> None:
        """Fog at the ground and falling snow."""
        if self.mood.fog > 0:
            opacity = np.linspace(0.15, 1.0, CANVAS) ** 1.5 * self.mood.fog * self.uniform(0.6, 1.0)
            mask = Image.fromarray((opacity[:, None] * 255).astype(np.uint8).repeat(CANVAS, axis=1))
            self.image.paste(Image.new("RGB", self.image.size, self.mood.sky_low), mask=mask)
        if self.mood.snow and self.rng.random() < 0.4:
            for _ in range(int(self.rng.integers(10, 22))):
                x, y, r = self.uniform(0, CANVAS), self.uniform(0, CANVAS), self.uniform(2.0, 3.4)
                self.draw.ellipse([x - r, y - r, x + r, y + r], fill=(250, 252, 255))


def _arch(pen: ImageDraw.ImageDraw, x: float, bottom: float, width: float, height: float, colour: Colour) -> None:
    """A window or a door with a round top, its middle at x."""
    top = bottom - height
    pen.rectangle([x - width / 2, top + width / 2, x + width / 2, bottom], fill=colour)
    pen.ellipse([x - width / 2, top, x + width / 2, top + width], fill=colour)


def draw_scene(seed: int) -> np.ndarray:
    """Draw the church scene of a seed.

    Args:
        seed: any integer >= 0; equal seeds give equal pictures.

    Returns:
        (64, 64, 3) uint8 in sRGB.
    """
    return draw_parts(seed)[0]


def draw_parts(seed: int, without: Collection[str] = ()) -> tuple[np.ndarray, frozenset[str]]:
    """Draw the church scene of a seed, and say which parts were drawn.

    Args:
        seed: any integer >= 0; equal seeds give equal pictures.
        without: parts (of `PARTS`) to leave out. Without its tower a church has neither spire nor door.

    Returns:
        (64, 64, 3) uint8 in sRGB; the parts drawn, some of which a tree may hide.
    """
    scene = Scene(seed, without)
    scene.sky()
    scene.sun_or_moon()
    scene.cloud_bank()
    scene.hills()
    scene.ground()
    scene.path()
    if scene.rng.random() < 0.5:  # trees behind the church or before it
        scene.trees()
        scene.church()
    else:
        scene.church()
        scene.trees()
    scene.weather()
    return np.asarray(scene.image.resize((SIZE, SIZE), Image.Resampling.BOX)), frozenset(scene.parts)


def draw_scenes(first: int, count: int) -> np.ndarray:
    """The scenes of seeds `first .. first + count - 1` as (count, 64, 64, 3) uint8."""
    return np.stack([draw_scene(seed) for seed in range(first, first + count)])

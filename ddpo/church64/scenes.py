"""Drawn churches: the training data of the bundled pair.

Every scene is a function of one integer, so the whole data set is a range of seeds and needs no files and no licence.
About a third of the scenes are dull on purpose (overcast or foggy, low contrast): that is what finetuning has to find.

A scene knows which parts it drew, and can leave parts out while everything else stays as it is. That labels pictures
for `ddpo/church64/parts.py` without anybody's work.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from PIL import Image

from ddpo.church64.canvas import CANVAS, Canvas
from ddpo.church64.church import draw_church
from ddpo.church64.moods import Colour, mix

SIZE = 64


class Scene(Canvas):
    """A canvas and what is drawn on it, from back to front."""

    def sky(self) -> None:
        """A gradient from the top down to the horizon, with stars at night."""
        top, low = self.tint(self.mood.sky_top), self.tint(self.mood.sky_low, 6)
        for row in range(int(self.horizon) + 2):
            self.draw.line([(0, row), (CANVAS, row)], fill=mix(top, low, row / self.horizon))
        if self.mood.stars:
            self._stars(top, low)

    def _stars(self, top: Colour, low: Colour) -> None:
        """Few stars that glow, none smaller than a pixel of the finished picture: those are noise to a small model."""
        for _ in range(int(self.rng.integers(7, 17))):
            x, y = self.uniform(0, CANVAS), self.uniform(0, self.horizon * 0.75)
            radius, sky = self.uniform(1.6, 2.8), mix(top, low, y / self.horizon)
            for size, share in ((2.2, 0.25), (1.0, 0.95)):
                r = radius * size
                self.draw.ellipse([x - r, y - r, x + r, y + r], fill=mix(sky, (240, 238, 216), share))

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
            halo = mix(behind, self.mood.light, 0.22 if ring > 2 else 0.4)  # type: ignore[arg-type]
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
            colour = mix(self.tint(self.mood.hill), self.mood.sky_low, 0.25 * (1 - layer))
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
        far = mix(near, self.mood.sky_low, 0.25)
        for y in range(int(self.horizon), CANVAS):
            share = (y - self.horizon) / (CANVAS - self.horizon)
            self.draw.line([(0, y), (CANVAS, y)], fill=mix(far, near, share))

    def church(self) -> None:
        """A nave with a pitched roof and a tower, lit from one side."""
        draw_church(self)

    def path(self) -> None:
        """A path that leads to the door, in half of the scenes."""
        if self.rng.random() < 0.5:
            return
        colour = mix(self.tint(self.mood.land, 4), self.tint(self.mood.wall, 4), 0.55)
        x, foot = CANVAS * self.uniform(0.35, 0.65), self.horizon + 12
        drift = self.uniform(-30, 30)
        self.draw.polygon(
            [(x - 4, foot), (x + 4, foot), (x + drift + 26, CANVAS), (x + drift - 26, CANVAS)], fill=colour
        )

    def trees(self) -> None:
        """Conifers or broad-leaved trees at the sides."""
        conifer = bool(self.rng.random() < 0.5)
        green = mix(self.mood.land, (26, 62, 36), 0.7 if not self.mood.stars else 0.4)
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
        without: parts (of `canvas.PARTS`) to leave out. Without its tower a church has neither spire nor door.

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

"""The canvas that a church is drawn on: its mood, the random numbers of its seed, and the parts drawn so far."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from PIL import Image, ImageDraw

from ddpo.church64.moods import MOODS, Colour, mix

CANVAS = 192  # pixels a side while drawing; three times the model's 64, so that edges are anti-aliased
# What a scene can tell of itself and leave out. The spire, be it pointed or a dome, and the door belong to the tower.
PARTS = ("tower", "spire", "roof", "door", "windows", "light")


class Canvas:
    """A drawing in progress.

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
        return mix(tuple(int(v) for v in varied), self.mood.sky_low, self.mood.veil)  # type: ignore[arg-type]

    def uniform(self, low: float, high: float) -> float:
        """A random number, even between the two."""
        return float(self.rng.uniform(low, high))

    def pen(self, *parts: str) -> ImageDraw.ImageDraw:
        """What draws a part that belongs to all of these: on the picture, or on waste paper where one is left out."""
        if self.without.intersection(parts):
            return ImageDraw.Draw(Image.new("RGB", self.image.size))
        self.parts.update(parts)
        return self.draw

"""Moods of the drawn churches: the colours of seven kinds of light, of which two are dull on purpose."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


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


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """A colour that lies between two: 0 is the first, 1 the second."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]

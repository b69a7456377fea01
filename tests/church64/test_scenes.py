"""The drawings are the training data of church-64, so each must stay as it is, bit for bit."""

from __future__ import annotations

import hashlib

import numpy as np

from ddpo.church64.canvas import PARTS
from ddpo.church64.scenes import draw_parts, draw_scenes

# SHA-256 over the pixels of the scenes 0 to 63, and over scenes that lack a part, with the names of those drawn.
DRAWN = "62c80740a01d237c0f9eff993ea3197baa2a94946fe0733634f11957b95568f2"
WITHOUT_A_PART = "01f76c0a3b7e11be60e9cd52af97aa7b9e42954bf70bac4d252e191e3319d93d"


def test_every_drawing_is_what_it_has_always_been() -> None:
    assert hashlib.sha256(draw_scenes(0, 64).tobytes()).hexdigest() == DRAWN


def test_so_are_those_that_lack_a_part() -> None:
    seen = hashlib.sha256()
    for seed in range(48):
        pixels, parts = draw_parts(seed, without={PARTS[seed % len(PARTS)]})
        assert pixels.dtype == np.uint8
        seen.update(pixels.tobytes() + " ".join(sorted(parts)).encode())
    assert seen.hexdigest() == WITHOUT_A_PART

"""The pictures of the page's tour: one seed on its way from noise, as both models see it; and the icon of the page."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ddpo.comparison import saved
from ddpo.comparison.events import ComparisonResult
from ddpo.diffusion.models import load_model
from ddpo.diffusion.pictures import tile, to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample
from ddpo.errors import UserError

STEPS = (4, 14)  # after which the strip shows what a model sees in the noise
ICON_SIDE = 192


def draw_strip(index: int, compute: Compute) -> Image.Image:
    """A row: the noise after one step, then for the base and for the finetuned model its estimates after STEPS.

    Args:
        index: place of the seed in the saved comparison.
        compute: device and dtype.

    Raises:
        UserError: there is no saved comparison.
    """
    comparison = _bundled().comparison
    cells: list[np.ndarray] = []
    for source in (comparison.base, comparison.tuned):
        model, seed = load_model(source, compute), comparison.seeds[index]
        for state in sample(model, [seed], comparison.scheduler, comparison.steps, compute, comparison.eta):
            if state.step == 1 and not cells:
                cells.append(to_uint8((state.x_t / 3).clamp(-1, 1))[0])
            if state.step in STEPS:
                cells.append(to_uint8(state.x_0)[0])
    return Image.fromarray(tile(np.stack(cells), columns=len(cells), gap=0))


def draw_icon(index: int) -> Image.Image:
    """A seed before on the left and after on the right, with round corners.

    Raises:
        UserError: there is no saved comparison.
    """
    result = _bundled()
    before, after = (
        images[index].resize((ICON_SIDE, ICON_SIDE), Image.Resampling.BICUBIC)
        for images in (result.base_images, result.tuned_images)
    )
    middle = ICON_SIDE // 2
    after.paste(before.crop((0, 0, middle, ICON_SIDE)), (0, 0))
    ImageDraw.Draw(after).rectangle((middle - 3, 0, middle + 2, ICON_SIDE), fill="white")
    mask = Image.new("L", after.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, ICON_SIDE - 1, ICON_SIDE - 1), ICON_SIDE // 5, fill=255)
    after.putalpha(mask)
    return after


def _bundled() -> ComparisonResult:
    result = saved.bundled()
    if result is None:
        raise UserError("There is no saved comparison; run the stage comparison first.")
    return result

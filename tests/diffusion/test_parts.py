"""Pictures that do not fit the memory at once are drawn in parts, and are the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from ddpo.common import memory
from ddpo.diffusion import footprint
from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample_pictures
from ddpo.errors import UserError

STEPS, SEEDS = 4, list(range(8))


@contextmanager
def watched(model: DiffusionModel, most: int) -> Iterator[list[int]]:
    """How many pictures the network is given at a time; torch itself refuses to allocate for more than `most`."""
    sizes: list[int] = []

    def look(unet: torch.nn.Module, values: Any) -> None:
        sizes.append(len(values[0]))
        if len(values[0]) > most:
            torch.empty(1 << 50)

    hook = model.unet.register_forward_pre_hook(look)
    try:
        yield sizes
    finally:
        hook.remove()


def test_what_does_not_fit_at_once_is_drawn_in_smaller_parts(tiny_model: DiffusionModel, compute: Compute) -> None:
    whole = sample_pictures(tiny_model, SEEDS, "ddim", STEPS, compute, eta=1.0)
    with watched(tiny_model, most=3) as sizes:
        parts = sample_pictures(tiny_model, SEEDS, "ddim", STEPS, compute, eta=1.0)
    assert sizes == [8, 4, *[3] * 4 * STEPS]  # halved until they fit, and kept so; two are evaluated as three
    assert (parts - whole).abs().max() * 127.5 < 0.5 and not torch.equal(whole[0], whole[1])


def test_the_estimate_chooses_the_parts_before_anything_fails(
    tiny_model: DiffusionModel, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = footprint.check_network(tiny_model.unet.config, "it").sampling
    monkeypatch.setattr(memory, "free_memory", lambda: memory.RESERVE + int(3.5 * each))
    with watched(tiny_model, most=3) as sizes:
        sample_pictures(tiny_model, SEEDS, "ddim", STEPS, compute)
    assert sizes == [3, 3, 3] * STEPS


def test_a_picture_that_fits_no_memory_ends_in_a_sentence(
    tiny_model: DiffusionModel, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(tiny_model, most=1), pytest.raises(UserError, match=r"not enough to draw one picture .*\.$"):
        sample_pictures(tiny_model, SEEDS, "ddim", STEPS, compute)
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"Drawing a picture needs about .* GB of memory and 0\.0 GB are free"):
        sample_pictures(tiny_model, SEEDS, "ddim", STEPS, compute)

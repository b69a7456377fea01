"""The same settings give the same bytes, and another precision other ones within bounds (docs/reliability.md)."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from ddpo import rewards
from ddpo.diffusion.models import DiffusionModel, load_model
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.diffusion.sampling import sample_pictures
from tests.helpers.run_folders import CHURCH

SEEDS = list(range(8))


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def church(request: pytest.FixtureRequest) -> tuple[DiffusionModel, Compute]:
    compute = choose_compute(request.param, "cpu")
    return load_model(str(CHURCH), compute), compute


def draw(church: tuple[DiffusionModel, Compute], seeds: list[int], scheduler: str = "ddim", steps: int = 3) -> Tensor:
    """(N, 3, H, W), as they are saved."""
    model, compute = church
    return from_uint8(to_uint8(sample_pictures(model, seeds, scheduler, steps, compute)))


def test_a_picture_is_the_same_in_any_batch_at_any_time_and_beside_anything(
    church: tuple[DiffusionModel, Compute],
) -> None:
    whole = draw(church, SEEDS)
    exact = torch.backends.cpu.get_cpu_capability().startswith("AVX512")  # elsewhere a kernel may round differently
    for seeds in ([0], [5, 1], [2, 7, 0], [3, 4, 6, 1, 2]):
        difference = (draw(church, seeds) - whole[seeds]).abs() * 127.5
        assert difference.max() < (0.01 if exact else 1.5) and (difference > 0.5).float().mean() < 1e-3
    ended = threading.Event()

    def load() -> None:  # another comparison
        while not ended.is_set():
            draw(church, [9, 10, 11], "ddpm", 1)

    other = threading.Thread(target=load)
    other.start()
    try:
        assert torch.equal(draw(church, SEEDS), whole)
    finally:
        ended.set()
        other.join()


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm"])
def test_bfloat16_draws_what_float32_draws_within_bounds(scheduler: str) -> None:
    pictures = []
    for name in ("float32", "bfloat16"):
        compute = choose_compute(name, "cpu")
        pictures.append(draw((load_model(str(CHURCH), compute), compute), SEEDS, scheduler, 10))
    one, other = pictures
    error = ((one - other) ** 2).mean((1, 2, 3))
    decibels = 10 * torch.log10(4 / error)  # of pictures in [-1, 1]
    assert not torch.equal(one, other) and decibels.min() > 40
    reward = rewards.load("photographic", choose_compute("float32", "cpu"))
    difference = reward(other) - reward(one)
    assert difference.abs().max() < 0.1 and difference.mean().abs() < 0.03

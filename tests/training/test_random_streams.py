"""The streams of a run: a seed for every sample, the same as in earlier versions."""

from __future__ import annotations

import torch

from ddpo.training.random_streams import mix_seed

EARLIER = {(0, 0): 9370220065291311888, (0, 1): 7792260675647599625, (7, 12345): 4186082247436842323}


def first_numbers(seed: int) -> list[float]:
    return torch.randn(4, generator=torch.Generator().manual_seed(seed)).tolist()


def test_the_streams_are_those_of_earlier_versions() -> None:
    """Which gave 64 bits, of which torch takes 32: a run that was begun then goes on with the same numbers."""
    for (seed, counter), earlier in EARLIER.items():
        assert mix_seed(seed, counter) == earlier % 2**32
        assert first_numbers(mix_seed(seed, counter)) == first_numbers(earlier)


def test_every_counter_and_every_seed_has_a_stream_of_its_own() -> None:
    seeds = [mix_seed(seed, counter) for seed in range(20) for counter in range(100)]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**32 for seed in seeds)
    assert abs(sum(seeds) / len(seeds) / 2**32 - 0.5) < 0.03  # spread over all of them

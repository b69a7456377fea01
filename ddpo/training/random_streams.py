"""Random numbers of a run: a stream for every sample, and the state of the generators that rewards may draw from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

FIRST_HELD_OUT = 2_000_000  # comparisons begin with small seeds, so that they judge a result by others
LOOKED_AT = 1 << 24  # samples of a run
WHOLE = (1 << 64) - 1  # mask of 64 bits


def mix_seed(seed: int, counter: int) -> int:
    """A seed of its own for every counter (splitmix64).

    Torch's generator on the CPU takes the lower 32 bits alone, so these are all there is. Each value is as likely as
    another. That one of N samples shares its stream with one of M seeds of a comparison has a chance of N M / 2^32:
    1 in 3,000 for 20,000 and 64. Keeping small numbers out would change the streams of runs that exist, which must go
    on bit for bit.
    """
    return int(_mix(seed, np.array([counter & WHOLE], np.uint64))[0])


def _mix(seed: int, counters: np.ndarray) -> np.ndarray:
    """`mix_seed` of many counters at once: (N,) uint64."""
    start = np.uint64((seed * 0x9E3779B97F4A7C15) & WHOLE)
    z = start + (counters + np.uint64(1)) * np.uint64(0xD1B54A32D192ED03)  # arrays of uint64 wrap around
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = (z ^ (z >> np.uint64(31))) & np.uint64(0xFFFFFFFF)
    return mixed


def held_out_seeds(count: int, seed: int, samples: int) -> list[int]:
    """Seeds that no sample of a run has as the seed of its stream, so that none is drawn in training.

    Args:
        count: how many.
        seed: of the run.
        samples: that the run draws; of more than `LOOKED_AT`, the first so many are looked at.
    """
    seeds, first = np.arange(0), FIRST_HELD_OUT
    while len(seeds) < count:
        window = np.arange(first, first + count)
        seeds = np.concatenate([seeds, window[~np.isin(window, _taken(seed, samples, first, first + count))]])
        first += count
    return [int(number) for number in seeds[:count]]


def _taken(seed: int, samples: int, low: int, high: int) -> np.ndarray:
    """The values of `mix_seed` for the samples of a run that are in [low, high)."""
    found = [np.arange(0)]
    for begin in range(0, min(samples, LOOKED_AT), 1 << 20):
        mixed = _mix(seed, np.arange(begin, min(begin + (1 << 20), samples), dtype=np.uint64))
        found.append(mixed[(mixed >= low) & (mixed < high)].astype(np.int64))
    return np.concatenate(found)


def random_state() -> dict[str, Any]:
    """The state of the global generators, for rewards that draw from them; tensors and plain values only."""
    version, keys, gauss = random.getstate()
    _, numpy_keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, list(keys), gauss],
        "numpy": [torch.from_numpy(np.asarray(numpy_keys, np.int64)), position, has_gauss, cached],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Put the global generators back to where `random_state` found them."""
    torch.set_rng_state(state["torch"].cpu())
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    numpy_keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", numpy_keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())

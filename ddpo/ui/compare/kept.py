"""The comparisons that pages show: kept for a while, and no more of them than a stated amount of memory."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

from ddpo.comparison.events import ComparisonResult
from ddpo.comparison.settings import Comparison
from ddpo.hub import ids

MOST_PIXELS = 16_000_000  # of all pictures that are kept, 64 MB: 122 comparisons of 32 pictures of church-64

results: OrderedDict[str, ComparisonResult] = OrderedDict()
_stamps: dict[str, tuple[float, ...]] = {}  # by key: when the models were last written
_lock = threading.Lock()


def keep(result: ComparisonResult) -> str:
    """Keep a result, in place of those that were not looked at for longest; returns what `find` finds it by."""
    key = secrets.token_hex(8)
    stamp = _stamp(result.comparison)
    with _lock:
        results[key], _stamps[key] = result, stamp
        while len(results) > 1 and sum(map(_pixels, results.values())) > MOST_PIXELS:
            del _stamps[results.popitem(last=False)[0]]
    return key


def find(key: str | None) -> ComparisonResult | None:
    """The result, None where it had to make room."""
    with _lock:
        if key is None or key not in results:
            return None
        results.move_to_end(key)
        return results[key]


def find_same(comparison: Comparison) -> str | None:
    """Key of the latest result of the same comparison, None where there is none or a model has been written since."""
    stamp = _stamp(comparison)
    with _lock:
        keys = [key for key, result in results.items() if result.comparison == comparison and _stamps[key] == stamp]
    return keys[-1] if keys else None


def find_drawn(comparison: Comparison) -> str | None:
    """Key of the latest result of the same pictures, by another scorer; None as for `find_same`."""
    stamp = _stamp(comparison)
    with _lock:
        keys = [
            key
            for key, result in results.items()
            if _stamps[key] == stamp
            and result.comparison.scorer.name != comparison.scorer.name
            and replace(result.comparison, scorer=comparison.scorer) == comparison
        ]
    return keys[-1] if keys else None


def _stamp(comparison: Comparison) -> tuple[float, ...]:
    """When the weights were last written, of both models that are folders: a run that goes on makes them anew."""
    folders = [Path(source) for source in (comparison.base, comparison.tuned) if ids.is_folder(source)]
    return tuple(max((path.stat().st_mtime for path in folder.glob("unet/*")), default=0.0) for folder in folders)


def _pixels(result: ComparisonResult) -> int:
    return sum(image.width * image.height for image in (*result.base_images, *result.tuned_images))

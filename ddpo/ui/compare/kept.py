"""The comparisons that pages show: kept for a while, and no more of them than a stated amount of memory."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from ddpo.comparison.events import ComparisonResult

MOST_PIXELS = 16_000_000  # of all pictures that are kept, 64 MB: 122 comparisons of 32 pictures of church-64

results: OrderedDict[str, ComparisonResult] = OrderedDict()
_lock = threading.Lock()


def keep(result: ComparisonResult) -> str:
    """Keep a result, in place of those that were not looked at for longest; returns what `find` finds it by."""
    key = secrets.token_hex(8)
    with _lock:
        results[key] = result
        while len(results) > 1 and sum(map(_pixels, results.values())) > MOST_PIXELS:
            results.popitem(last=False)
    return key


def find(key: str | None) -> ComparisonResult | None:
    """The result, None where it had to make room."""
    with _lock:
        if key is None or key not in results:
            return None
        results.move_to_end(key)
        return results[key]


def _pixels(result: ComparisonResult) -> int:
    return sum(image.width * image.height for image in (*result.base_images, *result.tuned_images))

"""The results that pages show, without their pictures: a few, which are found again when a seed is chosen."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from ddpo.evaluation.results import Results

MOST_SCORES = 2_000_000  # of all results that are kept, about 70 MB

results: OrderedDict[str, Results] = OrderedDict()
_lock = threading.Lock()


def keep(found: Results) -> str:
    """Keep results, in place of those that were not looked at for longest; returns what `find` finds them by."""
    key = secrets.token_hex(8)
    with _lock:
        results[key] = found
        while len(results) > 1 and sum(map(_scores, results.values())) > MOST_SCORES:
            results.popitem(last=False)
    return key


def find(key: object) -> Results | None:
    """The results, None where they had to make room."""
    with _lock:
        if not isinstance(key, str) or key not in results:
            return None
        results.move_to_end(key)
        return results[key]


def _scores(found: Results) -> int:
    return sum(len(cell.scores) for cell in found.cells) * len(found.evaluation.seeds)

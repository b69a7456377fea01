"""What pages show, found again by a key: kept for a while, and no more of it than a stated amount of memory."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from ddpo.hub import ids

T = TypeVar("T")
Stamp = tuple[float, ...]


class Shelf(Generic[T]):
    """Results by keys; whatever was not looked at for longest makes room for a new one."""

    def __init__(
        self, most: float, size: Callable[[T], float], models: Callable[[T], Iterable[str]] = lambda _: ()
    ) -> None:
        """Prepare an empty one.

        Args:
            most: that all together may take, but for a single one that takes more.
            size: what one takes, in the same unit.
            models: folders and ids of the models that one is of, for `latest`.
        """
        self._most, self._size, self._models = most, size, models
        self._kept: OrderedDict[str, tuple[T, Stamp]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, result: T) -> str:
        """Keep a result; returns what `find` finds it by."""
        key, stamp = secrets.token_hex(8), written(self._models(result))
        with self._lock:
            self._kept[key] = result, stamp
            while len(self._kept) > 1 and self.taken > self._most:
                self._kept.popitem(last=False)
        return key

    def find(self, key: object) -> T | None:
        """The result of a key, None where it had to make room."""
        with self._lock:
            if not isinstance(key, str) or key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def latest(self, alike: Callable[[T], bool]) -> str | None:
        """Key of the latest result of a kind; None where there is none, or a model has been written since."""
        with self._lock:
            found = [(key, *entry) for key, entry in self._kept.items() if alike(entry[0])]
        keys = [key for key, result, stamp in found if written(self._models(result)) == stamp]
        return keys[-1] if keys else None

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()

    @property
    def taken(self) -> float:
        """What all that is kept takes."""
        return sum(self._size(result) for result, _ in self._kept.values())


def written(models: Iterable[str]) -> Stamp:
    """When weights were last written, of the models that are folders: a run that goes on makes them anew."""
    folders = [Path(source) for source in models if ids.is_folder(source)]
    return tuple(max((path.stat().st_mtime for path in folder.glob("unet/*")), default=0.0) for folder in folders)

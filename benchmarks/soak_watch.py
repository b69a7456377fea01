"""What the app of the soak takes, once a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import usage
from ddpo.ui.shared.uploads import FOLDER

LASTING = (FOLDER, "ddpo-computing-", "gradio", "torchinductor_")  # folders that are there as long as the app
COURSE = 30  # seconds between two lines of the course


@dataclass
class Watch:
    """What the app takes, once a second.

    Args:
        process_id: of the app.
        temporary: the folder for its temporary files.
    """

    process_id: int
    temporary: Path
    most: dict[str, float] = field(default_factory=dict)
    course: list[dict[str, float]] = field(default_factory=list)

    def now(self) -> dict[str, float]:
        """What it takes at this moment."""
        found = usage(self.process_id)
        folders = [path for path in self.temporary.iterdir() if path.is_dir() and not path.name.startswith(LASTING)]
        return {
            "resident_mb": round(found.resident_mb), "threads": found.threads, "open_files": found.open_files,
            "temporary_folders": len(folders), "kept_mb": round(self._kept() / 1e6, 1),
        }  # fmt: skip

    def _kept(self) -> int:
        total = 0
        for folder, _, names in os.walk(self.temporary):
            for name in names:
                try:
                    total += (Path(folder) / name).stat().st_size
                except FileNotFoundError:
                    continue
        return total

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block, keep the highest of everything, and its course."""
        ended, begun = threading.Event(), time.monotonic()

        def watch() -> None:
            while not ended.wait(1):
                found = self.now()
                self.most = {name: max(value, self.most.get(name, 0)) for name, value in found.items()}
                if time.monotonic() - begun >= COURSE * len(self.course):
                    self.course.append({"second": round(time.monotonic() - begun), **found})

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

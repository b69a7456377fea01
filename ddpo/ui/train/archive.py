"""What the page hands out of a run: all that a push would publish, and its figures, as one zip."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ddpo.common.files import json_bytes
from ddpo.runs.metrics import epoch_facts, evaluation_line
from ddpo.runs.store import Run

METRICS = "metrics.jsonl"  # a line an epoch and a look at the held-out seeds


def write_archive(run: Run, folder: Path) -> Path:
    """Write the zip into a folder; it unpacks into a folder of the run's id.

    Raises:
        UserError: the run has no result yet, or something in it is not published.
    """
    from ddpo.publish.push import contents

    run.need_result()
    lines = [*map(epoch_facts, run.result_epochs()), *map(evaluation_line, run.evaluations())]
    files = {**contents(run, run.id), METRICS: b"".join(map(json_bytes, lines))}
    path = folder / f"{run.id}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # weights do not compress
        for name, content in files.items():
            if isinstance(content, bytes):
                archive.writestr(f"{run.id}/{name}", content)
            else:
                archive.write(content, Path(run.id) / name)
    return path

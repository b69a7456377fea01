"""What an evaluation of a run found, for its model card; and the command that makes one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ddpo.common.files import read_json
from ddpo.runs.pairs import RUN
from ddpo.runs.store import Run

FOLDER = "evaluation"  # of the report, within the run's
SEEDS = 64


def command(run: Run) -> str:
    """What evaluates a run, and writes the report into its folder."""
    return f"python -m ddpo.evaluation --pair {RUN}{run.id} --grid ddim:50 --seeds {SEEDS}"


def section(run: Run) -> str:
    """A section of the card with the verdict of every scheduler and number of steps; "" without an evaluation."""
    found = verdicts(run)
    if not found:
        return ""
    listed = "\n".join(f"- **{way}:** {sentence}" for way, sentence in found)
    return (
        f"\n## Is it better?\n\n{listed}\n\nMeasured by `{command(run)}` or alike, on seeds that were not trained on.\n"
    )


def verdicts(run: Run) -> list[tuple[str, str]]:
    """A scheduler with its number of steps, and what was found of the run there; none without an evaluation."""
    return [_verdict(compared) for compared in _comparisons(run.folder / FOLDER)]


def _comparisons(folder: Path) -> list[dict[str, Any]]:
    """Of the run's own result, as `export.as_json` writes them; none where they cannot be read."""
    with suppress(OSError, ValueError):
        found = read_json(folder / "results.json").get("comparisons")
        if isinstance(found, list):
            return [entry for entry in found if isinstance(entry, dict) and entry.get("model") == "tuned"]
    return []


def _verdict(compared: dict[str, Any]) -> tuple[str, str]:
    verdict = compared.get("verdict")
    sentence = verdict.get("sentence", "") if isinstance(verdict, dict) else ""
    way = f"{compared.get('scheduler')}, {compared.get('steps')} steps"
    return _one_line(way), _one_line(sentence)


def _one_line(text: Any) -> str:
    return " ".join(str(text).replace("`", "'").split())

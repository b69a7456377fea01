"""The tables of README.md and docs/benchmarks.md, made from the results that are committed.

    python -m benchmarks.tables           # write them into the pages
    python -m benchmarks.tables --check   # only say which are not what the results say

A table stands beneath a comment that names it, as in `<!-- table: pair -->`; everything else of a page stays as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import schedulers
from ddpo.church64.figures import read_figures
from ddpo.diffusion.schedulers import get_scheduler
from ddpo.evaluation.statistics import paired_gain

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
RESULTS = ROOT / "benchmarks" / "results"
PLACE = re.compile(r"(?P<head><!-- table: (?P<name>[\w-]+) -->\n\n)(?P<lines>(?:\|.*\n)*)")
BEST = ("ddpm", 1000)  # what the other schedulers are compared with
COMPARED = (BEST, ("ddpm", 250), ("ddim", 50), ("dpm-solver++", 50), ("unipc", 50), ("pndm", 50))


@cache
def results(name: str) -> Any:
    """A results file, by its path below benchmarks/results."""
    return read_figures(RESULTS / name)


def pair() -> list[str]:
    """Base and finetuned model of church-64 over many seeds."""
    found = read_figures(ROOT / "assets" / "church-64" / "results.json")["schedulers"]
    rows = []
    for name, row in found.items():
        of = row["statistics"]
        difference = _interval(of["mean_difference"], (of["interval_low"], of["interval_high"]), sign="+")
        rows.append(
            (
                get_scheduler(name).title, row["steps"], f"{of['mean_base']:.2f}", f"{of['mean_tuned']:.2f}",
                difference, f"{of['gain_in_sd']:.2f}", f"{of['win_rate']:.0%}", f"{row['diversity_kept']:.0%}",
            )
        )  # fmt: skip
    heads = "scheduler", "steps", "base", "finetuned", "difference (95%)", "gain in SD", "wins", "diversity kept"
    return table(heads, rows)


def which_scheduler() -> list[str]:
    """Means of both models by scheduler, and what the slowest of them scores above each on the same seeds."""
    cells = {
        (cell["model"], cell["scheduler"], cell["steps"]): cell
        for cell in results("church-64-evaluation/results.json")["cells"]
    }
    rows = []
    for scheduler, steps in COMPARED:
        row = [f"{get_scheduler(scheduler).title} {steps}"]
        for model in ("base", "tuned"):
            scores, best = (cells[model, *key]["scores"]["photographic"] for key in ((scheduler, steps), BEST))
            gain = paired_gain(scores, best)
            row.append(f"{gain.paired.mean_base:.2f}")
            if model == "base":
                distance = cells[model, scheduler, steps]["reference"]
                row.append(f"{distance['value']:.3f} ± {distance['standard_error']:.3f}")
            row.append("" if scores is best else _interval(gain.paired.mean_difference, gain.interval))
        rows.append(row)
    over = f"{get_scheduler(BEST[0]).title} above it"
    return table(
        ("scheduler", "base", "distance of the base", f"{over}, base", "finetuned", f"{over}, finetuned"), rows
    )


def options() -> list[str]:
    """Mean scores of both models, by a scheduler's options and the number of steps."""
    found = results("schedulers.json")["rows"]
    means = {(row["model"], row["scheduler"], row["variant"], row["steps"]): row["mean"] for row in found}
    steps = sorted({row["steps"] for row in found})
    rows = []
    for name, variant, _ in schedulers.variants():
        of = [[means.get((model, name, variant, count)) for model in ("base", "tuned")] for count in steps]
        if any(both != [None, None] for both in of):
            cells = (", ".join("-" if mean is None else f"{mean:.2f}" for mean in both) for both in of)
            rows.append((f"{get_scheduler(name).title}, {variant}", *cells))
    return table(("scheduler, options", *steps), rows)


def quick() -> list[str]:
    """Gain and diversity of the recipe `quick` by reward and time."""
    found = results("quick.json")["rewards"]
    names = ("photographic", "colourfulness", "jpeg-compressibility", "jpeg-incompressibility")
    rows = []
    for name in (name for name in names if name in found):
        cells = (f"{row['gain_in_sd']:.1f}, {row['diversity_kept']:.0%}" for row in found[name])
        rows.append((f"`{name}`", *cells))
    return table(("reward", "2 minutes", "5 minutes", "10 minutes, or the end"), rows)


def judge() -> list[str]:
    """The distances of both models to drawings in clear weather."""
    found = results("church64-judge.json")
    base = found["assets/church-64/base"]
    rows = []
    for source, row in found.items():
        change = ""
        if row is not base:
            error = (row["standard_error"] ** 2 + base["standard_error"] ** 2) ** 0.5
            change = f"{row['distance'] - base['distance']:+.0f} ± {error:.0f}"
        name = source.rpartition("/")[2]
        rows.append((f"`{name}/`", f"{row['distance']:.0f} ± {row['standard_error']:.0f}", change))
    return table(("pictures", "distance", "against the base"), rows)


TABLES: dict[str, Callable[[], list[str]]] = {
    "pair": pair, "which-scheduler": which_scheduler, "options": options, "quick": quick, "judge": judge,
}  # fmt: skip


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table in Markdown."""
    lines = ["| " + " | ".join(map(str, heads)) + " |", "|---" * len(heads) + "|"]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]


def filled(text: str) -> str:
    """A page with its tables as the results have them.

    Raises:
        SystemExit: the page names a table that there is not.
    """

    def fill(match: re.Match[str]) -> str:
        if match["name"] not in TABLES:
            raise SystemExit(f"There is no table {match['name']!r}; there are: {', '.join(TABLES)}.")
        return match["head"] + "".join(f"{line.replace('|  |', '| |')}\n" for line in TABLES[match["name"]]())

    return PLACE.sub(fill, text)


def _interval(value: float, interval: tuple[float, float] | None, sign: str = "") -> str:
    if interval is None:
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.2f} ({interval[0]:{sign}.2f} to {interval[1]:{sign}.2f})"


def main() -> None:
    """Write the pages, or say which of them are out of date."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and exit with 1 where a table differs")
    asked = parser.parse_args()
    stale = [page for page in PAGES if filled(page.read_text(encoding="utf-8")) != page.read_text(encoding="utf-8")]
    for page in stale:
        print(f"{page.relative_to(ROOT)}: {'out of date' if asked.check else 'written'}")
        if not asked.check:
            page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(bool(stale and asked.check))


if __name__ == "__main__":
    main()

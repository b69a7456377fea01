"""The tables of README.md and docs/benchmarks.md, made from the results that are committed.

    python -m benchmarks.tables           # write them into the pages
    python -m benchmarks.tables --check   # only say which are not what the results say

A table stands beneath a comment that names it, as in `<!-- table: pair -->`; everything else of a page stays as it is.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import algorithms, quick, race, schedulers
from ddpo.church64 import card, judge
from ddpo.church64.figures import read_figures
from ddpo.common import markdown
from ddpo.diffusion.catalogue import ASSETS
from ddpo.diffusion.schedulers import get_scheduler
from ddpo.evaluation.statistics import paired_gain

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
RESULTS = ROOT / "benchmarks" / "results"
PLACE = re.compile(r"(?P<head><!-- table: (?P<name>[\w-]+) -->\n\n)(?P<lines>(?:\|.*\n)*)")
BEST = ("ddpm", 1000)  # what the other schedulers are compared with
COMPARED = (BEST, ("ddpm", 250), ("ddim", 50), ("dpm-solver++", 50), ("unipc", 50), ("pndm", 50))


def pair() -> list[str]:
    """Base and finetuned model of church-64 over many seeds, as the pair's card has them."""
    return card.gains(read_figures(ASSETS / "church-64" / "results.json"))


def which_scheduler() -> list[str]:
    """Means of both models by scheduler, and what the slowest of them scores above each on the same seeds."""
    cells = {
        (cell["model"], cell["scheduler"], cell["steps"]): cell
        for cell in read_figures(RESULTS / "church-64-evaluation" / "results.json")["cells"]
    }
    rows = []
    for scheduler, steps in COMPARED:
        row = [f"{get_scheduler(scheduler).title} {steps}"]
        for model in ("base", "tuned"):
            scores, best = (cells[model, *key]["scores"][schedulers.SCORER] for key in ((scheduler, steps), BEST))
            gain = paired_gain(scores, best)
            row.append(f"{gain.paired.mean_base:.2f}")
            if model == "base":
                distance = cells[model, scheduler, steps]["reference"]
                row.append(f"{distance['value']:.3f} ± {distance['standard_error']:.3f}")
            low, high = gain.interval or (math.nan, math.nan)
            above = f"{gain.paired.mean_difference:.2f} ({low:.2f} to {high:.2f})"
            row.append("" if (scheduler, steps) == BEST else above)
        rows.append(row)
    over = f"{get_scheduler(BEST[0]).title} above it"
    heads = "scheduler", "base", "distance of the base", f"{over}, base", "finetuned", f"{over}, finetuned"
    return markdown.table(heads, rows)


def options() -> list[str]:
    """Mean scores of both models, by a scheduler's options and the number of steps."""
    return schedulers.table(read_figures(schedulers.RESULTS)["rows"])


def quick_recipe() -> list[str]:
    """Gain and diversity of the recipe `quick` by reward and time."""
    found = read_figures(quick.RESULTS)["rewards"]
    rows = (
        (f"`{name}`", *(f"{row['gain']:.1f}, {row['diversity']:.0%}" for row in found[name]))
        for name in quick.REWARDS
        if name in found
    )
    return markdown.table(("reward", "2 minutes", "5 minutes", "10 minutes, or the end"), rows)


def time_to_gain() -> list[str]:
    """How long recipes and a plain loop of DDPO took to gain, and how they ended."""
    rows = []
    for name, found in read_figures(race.RESULTS)["contenders"].items():
        until = (
            f"{look['seconds']:.0f} s, {look['pictures']}" if (look := found["reached"][str(goal)]) else "not reached"
            for goal in race.GOALS
        )
        last, distance = found["looks"][-1], judge.from_json(found["judge"])
        shares = (f"{last[key]:.0%}" for key in ("win_rate", "diversity"))
        end = f"{last['seconds']:.0f} s, {last['pictures']}", f"{last['gain']:.2f}", *shares
        rows.append((f"`{name}`", *until, *end, f"{distance.value:.0f} ± {distance.standard_error:.0f}"))
    goals = (f"until +{goal:g}" for goal in race.GOALS)
    return markdown.table(("contender", *goals, "the end", "gain in SD", "seeds won", "diversity", "distance"), rows)


def equal_compute() -> list[str]:
    """How each algorithm ended that had as many evaluations of the network as the others."""
    return algorithms.table(read_figures(algorithms.RESULTS))


def clear_weather() -> list[str]:
    """The distances of both models to drawings in clear weather."""
    found = read_figures(RESULTS / "church64-judge.json")
    base, tuned = (judge.from_json(found[f"assets/church-64/{model}"]) for model in ("base", "tuned"))
    change = tuned.less(base)
    rows = (
        ("`base/`", f"{base.value:.0f} ± {base.standard_error:.0f}", ""),
        (
            "`tuned/`", f"{tuned.value:.0f} ± {tuned.standard_error:.0f}",
            f"{change.value:+.0f} ± {change.standard_error:.0f}",
        ),
    )  # fmt: skip
    return markdown.table(("pictures", "distance", "against the base"), rows)


TABLES: dict[str, Callable[[], list[str]]] = {
    "pair": pair, "which-scheduler": which_scheduler, "options": options, "quick": quick_recipe,
    "race": time_to_gain, "algorithms": equal_compute, "judge": clear_weather,
}  # fmt: skip


def filled(text: str) -> str:
    """A page with its tables as the results have them.

    Raises:
        SystemExit: the page names a table that there is not.
    """

    def fill(match: re.Match[str]) -> str:
        if match["name"] not in TABLES:
            raise SystemExit(f"There is no table {match['name']!r}; there are: {', '.join(TABLES)}.")
        return match["head"] + "".join(f"{line}\n" for line in TABLES[match["name"]]())

    return PLACE.sub(fill, text)


def main() -> None:
    """Write the pages, or say which of them are out of date."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and exit with 1 where a table differs")
    asked = parser.parse_args()
    stale = False
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (new := filled(text)) == text:
            continue
        stale = True
        print(f"{page.relative_to(ROOT)}: {'out of date' if asked.check else 'written'}")
        if not asked.check:
            page.write_text(new, encoding="utf-8")
    sys.exit(stale and asked.check)


if __name__ == "__main__":
    main()

"""The command line: evaluate, and write the report.

    python -m ddpo.evaluation --pair church-64 --grid ddim:8,20,50 dpm-solver++:8,12 --seeds 64

Ctrl-C stops it. The same command goes on where it was, as pictures and scores are kept in the cache.
Exit codes: 0 finished; 1 stopped or failed; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ddpo.common.exit_codes import DONE, FAILED, WRONG_USAGE
from ddpo.common.parser import Parser
from ddpo.comparison.events import Progress
from ddpo.errors import Failed, UserError, under_way
from ddpo.evaluation.plan import DEFAULT_GRID, DEFAULT_SEEDS, FIRST_SEED, Evaluation, make_evaluation
from ddpo.evaluation.results import Results
from ddpo.evaluation.store import CellStore
from ddpo.runs.pairs import RUN
from ddpo.runs.store import open_run, runs_root

CACHE, OUT = Path("evaluations/cache"), Path("evaluations/report")


def build_parser() -> argparse.ArgumentParser:
    """The parser of `python -m ddpo.evaluation`."""
    parser = Parser(prog="python -m ddpo.evaluation", description="Measure whether models are better than their base.")
    parser.add_argument(
        "--pair", default="", help="base and tuned of a pair: church-64, run:<id>, ... (default church-64)"
    )
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="NAME=SOURCE",
        help="more models, each a folder, a Hub id, run:<id> or a pair's name; without --pair, the first is the base",
    )  # fmt: skip
    parser.add_argument(
        "--grid", nargs="+", default=[DEFAULT_GRID], metavar="SCHEDULER:STEPS",
        help=f"schedulers with their steps, as in ddim:8,20,50 unipc:8 (default {DEFAULT_GRID})",
    )  # fmt: skip
    parser.add_argument("--eta", type=float, default=0.0, help="DDIM's share of noise, in [0, 1] (default 0)")
    parser.add_argument("--seeds", type=int, default=DEFAULT_SEEDS, help=f"how many (default {DEFAULT_SEEDS})")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help=f"the first (default {FIRST_SEED})")
    parser.add_argument("--scorers", nargs="+", default=[], help="the target first (default: the pair's reward)")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default=None)
    parser.add_argument(
        "--reference", default="", metavar="PICTURES",
        help="pictures that the base should draw like, such as those that it was trained on: a folder, or a sheet of "
        "squares (default: the pair's, where it has some)",
    )  # fmt: skip
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder of pictures and scores (default {CACHE})")
    parser.add_argument(
        "--out", type=Path, default=None, help=f"folder of the report (default {OUT}, of a run within its own folder)"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say, and return the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        evaluation = make_evaluation(
            pair=options.pair, models=_models(options.models), grid=options.grid, eta=options.eta, seeds=options.seeds,
            seed=options.seed, scorers=options.scorers, precision=options.precision, reference=options.reference,
            own_functions=True,
        )  # fmt: skip
        with under_way():
            return _run(evaluation, CellStore(options.cache), options.out or _out(options.pair))
    except Failed as error:
        print(error, file=sys.stderr)
        return FAILED
    except UserError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except KeyboardInterrupt:
        print("Stopped; the same command goes on where it was.", file=sys.stderr)
        return FAILED


def _out(pair: str) -> Path:
    """Where the report goes if nobody says: that of a run beside what it made, where its model card finds it."""
    if not pair.startswith(RUN) or "@" in pair:  # an epoch's verdict is not that of the result
        return OUT
    return open_run(runs_root(), pair.removeprefix(RUN)).folder / "evaluation"


def _models(listed: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in listed:
        name, equals, source = entry.partition("=")
        if not (name and equals and source):
            raise UserError(f"A model is given as NAME=FOLDER or NAME=OWNER/NAME, and {entry!r} is not.")
        if name in found:
            raise UserError(f"Two models are called {name}; give each a name of its own.")
        found[name] = source
    return found


def _run(evaluation: Evaluation, store: CellStore, out: Path) -> int:
    from ddpo.evaluation.evaluate import CellDone, evaluate
    from ddpo.evaluation.export import write_folder
    from ddpo.evaluation.report import summary

    results = Results(evaluation, [])
    bar = _Bar()
    try:
        for event in evaluate(evaluation, store):
            if isinstance(event, CellDone):
                results = event.results
                bar.say(summary(event.cell, evaluation.target))
            else:
                bar.show(event)
    finally:
        bar.close()
    write_folder(results, store, out)
    for compared in results.comparisons:
        print(f"{compared.cell.cell.title}: {compared.verdict.sentence}")
    print(f"The report is {out / 'report.html'}")
    return DONE


class _Bar:
    """A bar on a terminal; elsewhere only the lines of cells."""

    def __init__(self) -> None:
        self.bar: Any = None

    def show(self, event: Progress) -> None:
        if event.total == 0 or not sys.stderr.isatty():
            return
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(total=event.total, unit="evaluation", dynamic_ncols=True)
        self.bar.set_description(event.stage)
        self.bar.update(event.step - self.bar.n)

    def say(self, line: str) -> None:
        if self.bar is None:
            print(line, flush=True)
        else:
            self.bar.write(line)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

"""Everything that can be compared by name: the catalogue, the runs that have a result, and two models of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ddpo.common.words import moment, shown
from ddpo.diffusion.catalogue import ALIASES, PAIRS, Cost, Pair, current_base
from ddpo.diffusion.network import read_network
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs.base_weights import other_base
from ddpo.runs.store import Run, list_runs, open_run, runs_root

RUN = "run:"  # before the id of a run, makes the name of a pair
OWN = "own"  # names the two models that a visitor gives
_OWN = Pair(OWN, "Two models of your own", "Any two unconditional models of pictures of one size.", "", "", "", 0)


def get_pair(name: str) -> Pair:
    """The pair of that name.

    Args:
        name: of an entry of PAIRS or ALIASES; "run:<id>" is the base and the result of a finetuning run; "own" is a
            pair without models, for whoever gives both.

    Raises:
        UserError: there is no such pair, or the run has no result yet.
    """
    if not isinstance(name, str):
        raise UserError(f"The pair must be given as text, and {shown(name)} is not.")
    if name == OWN:
        return _OWN
    if name.startswith(RUN):
        run = open_run(runs_root(), name.removeprefix(RUN))
        run.need_result()
        return _run_pair(run)
    name = ALIASES.get(name, name)
    if name not in PAIRS:
        raise UserError(
            f"There is no model pair called {shown(name)}; choose one of: {', '.join((*PAIRS, OWN))}, or run:<id> of a "
            "run."
        )
    return PAIRS[name]


def run_pairs() -> list[Pair]:
    """The finetuning runs that have a result, the newest first."""
    return [_run_pair(run) for run in list_runs(runs_root()) if run.has_result()]


def all_pairs() -> list[Pair]:
    """Everything that can be compared by name."""
    return [*PAIRS.values(), *run_pairs()]


def _run_pair(run: Run) -> Pair:
    spec = run.spec
    base = spec.pair or ids.short_name(spec.base)
    description = f"The base of {base} and what a finetuning run of {run.created[:10]} on {spec.reward} made of it."
    return Pair(
        name=RUN + run.id,
        title=f"Run of {moment(run.created)}, {spec.reward}",
        description=" ".join(filter(None, (description, other_base(run)))),
        base=current_base(spec.pair, spec.base),
        tuned=str(run.result),
        reward=spec.reward,
        sample_size=_sample_size(run.result),
        cost=_run_cost(spec.pair),
    )


def _run_cost(pair: str | None) -> Cost | None:
    """That of the pair whose base was finetuned, as the network is the same."""
    cost = PAIRS[pair].cost if pair in PAIRS else None
    return replace(cost, download_megabytes=0) if cost else None


def _sample_size(model: Path) -> int:
    """Pixels a side of what a model folder draws; 0 where that cannot be read."""
    try:
        return read_network(str(model)).sample_size
    except UserError:
        return 0

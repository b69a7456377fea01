"""Everything that can be compared by name: the catalogue, the runs that have weights, and two models of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ddpo.common.words import moment, shown
from ddpo.diffusion.catalogue import ALIASES, PAIRS, Cost, Pair, current_base
from ddpo.diffusion.network import read_network
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs import epoch_weights
from ddpo.runs.base_weights import other_base
from ddpo.runs.labels import label_of
from ddpo.runs.store import Run, list_runs, open_run, runs_root

RUN = "run:"  # before the id of a run, makes the name of a pair
OWN = "own"  # names the two models that a visitor gives
_OWN = Pair(OWN, "Two models of your own", "Any two unconditional models of pictures of one size.", "", "", "", 0)


def get_pair(name: str) -> Pair:
    """The pair of that name.

    Args:
        name: of an entry of PAIRS or ALIASES; "run:<id>" is the base and the result of a finetuning run, and
            "run:<id>@<epoch>" the base and an epoch of which the run has kept the weights; "own" is a pair without
            models, for whoever gives both.

    Raises:
        UserError: there is no such pair, or the run has no result yet.
    """
    if not isinstance(name, str):
        raise UserError(f"The pair must be given as text, and {shown(name)} is not.")
    if name == OWN:
        return _OWN
    if name.startswith(RUN):
        return _named_run(name.removeprefix(RUN))
    name = ALIASES.get(name, name)
    if name not in PAIRS:
        raise UserError(
            f"There is no model pair called {shown(name)}; choose one of: {', '.join((*PAIRS, OWN))}, or run:<id> of a "
            "run."
        )
    return PAIRS[name]


def _named_run(name: str) -> Pair:
    """The pair of "<id>" or "<id>@<epoch>"."""
    run_id, at, number = name.partition("@")
    run = open_run(runs_root(), run_id)
    if not at:
        return _run_pair(run, run.need_result(), "")
    epochs = {str(epoch): epoch for epoch in epoch_weights.kept(run)}
    if number not in epochs:
        there = ", ".join(epochs) or "none; keep_every has a run keep them"
        raise UserError(f"The run {run.id} has no weights of epoch {shown(number)}; there are those of: {there}.")
    return _run_pair(run, epoch_weights.folder_of(run, epochs[number]), number)


def run_pairs() -> list[Pair]:
    """The finetuning runs that have a result, the newest first."""
    return [_run_pair(run, run.result, "") for run in list_runs(runs_root()) if run.has_result()]


def epoch_pairs() -> list[Pair]:
    """The epochs of which runs have kept the weights, the newest run first and its last epoch first."""
    return [
        _run_pair(run, epoch_weights.folder_of(run, epoch), str(epoch))
        for run in list_runs(runs_root())
        for epoch in reversed(epoch_weights.kept(run))
    ]


def all_pairs() -> list[Pair]:
    """Everything that can be compared by name."""
    return [*PAIRS.values(), *run_pairs()]


def _run_pair(run: Run, tuned: Path, epoch: str) -> Pair:
    """The base of a run and a model that it has made: its result, or that of an epoch."""
    spec = run.spec
    base = spec.pair or ids.short_name(spec.base)
    after = f", after epoch {epoch}" if epoch else ""
    description = f"The base of {base} and what a finetuning run of {moment(run.created)} on {spec.reward} made of it"
    name = label_of(run).name
    what = f"{name}, {spec.reward}" if name else spec.reward
    return Pair(
        name=RUN + run.id + (f"@{epoch}" if epoch else ""),
        title=f"Run of {moment(run.created)}, {what}{after}",
        description=" ".join(filter(None, (f"{description}{after}.", other_base(run)))),
        base=current_base(spec.pair, spec.base),
        tuned=str(tuned),
        reward=spec.reward,
        sample_size=_sample_size(tuned),
        cost=_run_cost(spec.pair),
        reference=PAIRS[spec.pair].reference if spec.pair in PAIRS else "",
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

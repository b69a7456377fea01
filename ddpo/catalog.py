"""The model pairs on offer. Adding one is one more entry here; every finetuning run with a result is one more pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ddpo.errors import UserError
from ddpo.estimate import read_network
from ddpo.runs import Run, list_runs, open_run, runs_root

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True)
class Pair:
    """A base model and its finetuned version."""

    name: str
    title: str
    description: str  # one or two sentences for the page
    base: str  # where the base model is: a folder, or an id on the Hugging Face Hub
    tuned: str  # where the finetuned model is
    reward: str  # the reward it was finetuned on
    sample_size: int  # pixels a side


PAIRS: dict[str, Pair] = {
    "church-64": Pair(
        name="church-64",
        title="church-64 (bundled)",
        description=(
            "Drawn churches, 64 x 64 pixels. The base was pretrained on drawings of which a third are dull; "
            "the other was finetuned from it with DDPO on the photographic score. Both come with the app."
        ),
        base=str(ASSETS / "church-64" / "base"),
        tuned=str(ASSETS / "church-64" / "tuned"),
        reward="photographic",
        sample_size=64,
    ),
}
DEFAULT_PAIR = "church-64"
RUN = "run:"  # before the id of a run, makes the name of a pair


def get_pair(name: str) -> Pair:
    """The pair of that name; "run:<id>" is the base and the result of a finetuning run.

    Raises:
        UserError: there is no such pair, or the run has no result yet.
    """
    if name.startswith(RUN):
        run = open_run(runs_root(), name.removeprefix(RUN))
        run.need_result()
        return _run_pair(run)
    if name not in PAIRS:
        raise UserError(f"There is no model pair called {name!r}; choose one of: {', '.join(PAIRS)}.")
    return PAIRS[name]


def run_pairs() -> list[Pair]:
    """The finetuning runs that have a result, the newest first."""
    return [_run_pair(run) for run in list_runs(runs_root()) if run.has_result()]


def all_pairs() -> list[Pair]:
    """Everything that can be compared by name."""
    return [*PAIRS.values(), *run_pairs()]


def _run_pair(run: Run) -> Pair:
    spec = run.spec
    base = spec.pair or Path(spec.base).name
    return Pair(
        name=RUN + run.id,
        title=f"Run of {run.created[5:16].replace('T', ' ')}, {spec.reward}",
        description=f"The base of {base} and what a finetuning run of {run.created[:10]} on {spec.reward} made of it.",
        base=PAIRS[spec.pair].base if spec.pair in PAIRS else spec.base,  # the repository may have moved
        tuned=str(run.result),
        reward=spec.reward,
        sample_size=_sample_size(run.result),
    )


def _sample_size(model: Path) -> int:
    """Pixels a side of what a model folder draws; 0 where that cannot be read."""
    try:
        return read_network(str(model)).sample_size
    except UserError:
        return 0

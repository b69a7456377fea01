"""What to evaluate: models, schedulers with their steps, seeds and scorers, checked once, with names looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ddpo import rewards
from ddpo.common.words import shown
from ddpo.comparison import first_choice
from ddpo.comparison.settings import LONGEST_TEXT, MAX_SEED, check_cost
from ddpo.diffusion.catalogue import DEFAULT_PAIR, PAIRS, Pair
from ddpo.diffusion.schedulers import SchedulerSpec, check_eta, check_steps, get_scheduler
from ddpo.errors import UserError
from ddpo.evaluation.measured import FEWEST
from ddpo.hub import ids
from ddpo.rewards import RewardSpec
from ddpo.runs.pairs import OWN, RUN, get_pair

if TYPE_CHECKING:
    from ddpo.diffusion.precision import PrecisionName

MAX_SEEDS = 1024
MAX_CELLS = 2000
MAX_SCORERS = 12
DEFAULT_GRID = "ddim:50"
DEFAULT_SEEDS = 64
FIRST_SEED = 10_000  # of seeds that training never draws: its own are above 2^40
ALWAYS = ("photographic", "colourfulness")  # scored as well: they need no weights, and show what a reward may hide


@dataclass(frozen=True)
class Model:
    """A model that is evaluated."""

    name: str  # for people, unlike those of the others
    source: str  # folder or Hub id


@dataclass(frozen=True)
class Point:
    """A way to draw: one scheduler, so many steps."""

    scheduler: SchedulerSpec
    steps: int
    eta: float  # DDIM's share of noise; 0 for schedulers that take none

    def __hash__(self) -> int:  # the options of a scheduler are a dictionary, which has none
        return hash((self.scheduler.name, self.steps, self.eta))

    @property
    def title(self) -> str:
        """For people: "DDIM 50", "DDIM 50 (eta 1)"."""
        return f"{self.scheduler.title} {self.steps}" + (f" (eta {self.eta:g})" if self.eta else "")

    @property
    def evaluations(self) -> int:
        """About how often the network is asked for a picture."""
        return self.steps * self.scheduler.evaluations


@dataclass(frozen=True)
class Cell:
    """One model, drawn in one way."""

    model: Model
    point: Point

    @property
    def title(self) -> str:
        """For people: "tuned, DDIM 50"."""
        return f"{self.model.name}, {self.point.title}"


@dataclass(frozen=True)
class Evaluation:
    """An evaluation of which everything is settled but the device. Made by `make_evaluation`."""

    models: tuple[Model, ...]  # two or more; the first is the base of all others
    points: tuple[Point, ...]  # the cheapest first
    seeds: tuple[int, ...]
    scorers: tuple[RewardSpec, ...]  # the first is the target: what is to rise
    precision: PrecisionName | None = None  # None: DDPO_PRECISION, else what the hardware is quick at
    reference: str = ""  # pictures that the models should draw like, see `reference`; "": none
    asked: Mapping[str, Any] = field(default_factory=dict, compare=False)  # the arguments that ask for it again

    @property
    def base(self) -> Model:
        """What the others are compared with."""
        return self.models[0]

    @property
    def target(self) -> RewardSpec:
        """The scorer that is to rise."""
        return self.scorers[0]

    @property
    def cells(self) -> list[Cell]:
        """All cells, so that each comparison is complete as early as it can be."""
        return [Cell(model, point) for point in self.points for model in self.models]

    @property
    def evaluations(self) -> int:
        """About how often networks are asked, for all pictures together."""
        return len(self.seeds) * len(self.models) * sum(point.evaluations for point in self.points)

    def pixel_steps(self, side: int) -> float:
        """What it costs, in the unit of `Comparison.pixel_steps`: two models count once, as they do there.

        Args:
            side: of a picture, in pixels.
        """
        return self.evaluations / 2 * side**2 / 1e6

    def check_cost(self, side: int, most: float | None) -> None:
        """Refuse an evaluation that costs too much.

        Args:
            side: of a picture, in pixels.
            most: in the unit of `pixel_steps`; None: no limit.

        Raises:
            UserError: it costs more.
        """
        what = f"For each pair of models, {len(self.seeds)} seeds of {side} x {side} pixels in these steps"
        check_cost(self.pixel_steps(side), most, what, "take fewer seeds, steps or models")


def make_evaluation(
    *,
    pair: str = "",
    models: Mapping[str, str] | None = None,
    grid: Sequence[str] = (DEFAULT_GRID,),
    eta: float = 0.0,
    seeds: int = DEFAULT_SEEDS,
    seed: int = FIRST_SEED,
    scorers: Sequence[str] = (),
    precision: PrecisionName | None = None,
    reference: str = "",
    own_functions: bool = False,
) -> Evaluation:
    """Check what is asked for, look every name up, and fill in what is left out.

    Args:
        pair: name of a pair, whose two models come first; "" where `models` has two or more, else church-64.
        models: more models, name to folder, Hub id, "run:<id>" or name of a pair, of which the finetuned one is taken;
            without a pair, the first is the base.
        grid: entries "scheduler:steps,steps"; "scheduler" alone takes its default.
        eta: DDIM's share of noise, in [0, 1].
        seeds: how many, 2 .. MAX_SEEDS.
        seed: the first, 0 .. MAX_SEED; they wrap around.
        scorers: their names, the target first; those of `ALWAYS` are added. (): the target is the pair's reward.
        precision: as in `Evaluation`.
        reference: as in `Evaluation`, for `FEWEST` seeds or more; "": the pair's, where it has one.
        own_functions: whether "module:function" is taken for a scorer, whose code is run.

    Raises:
        UserError: a value is outside its range, a name is not known, or there is nothing to compare.
    """
    _check_whole("The number of seeds", seeds, 2, MAX_SEEDS)
    _check_whole("The first seed", seed, 0, MAX_SEED)
    pair = pair or ("" if models and len(models) > 1 else DEFAULT_PAIR)
    if reference and seeds < FEWEST:
        raise UserError(f"The distance to reference pictures needs {FEWEST} seeds or more, and {seeds} are asked for.")
    found = get_pair(pair) if pair else None
    chosen = _models(found, models or {})
    named = {model.name: ids.short_name((models or {}).get(model.name, model.source)) for model in chosen}
    points = tuple(sorted({p.title: p for entry in grid for p in _points(entry, eta)}.values(), key=_cost))
    if not points:
        raise UserError("Name at least one scheduler with its steps, such as ddim:8,50.")
    if len(points) * len(chosen) > MAX_CELLS:
        raise UserError(f"{len(points) * len(chosen):,} cells are too many; {MAX_CELLS:,} are the most at once.")
    return Evaluation(
        models=chosen,
        points=points,
        seeds=tuple((seed + i) % (MAX_SEED + 1) for i in range(seeds)),
        scorers=_scorers(scorers, pair or OWN, own_functions),
        precision=precision,
        reference=reference or (found.reference if found else ""),
        asked={
            "pair": pair, "models": named, "grid": list(grid),
            "eta": eta, "seeds": seeds, "seed": seed, "scorers": list(scorers), "precision": precision,
            "reference": ids.short_name(reference) if reference else "",
        },
    )  # fmt: skip


def _models(pair: Pair | None, others: Mapping[str, str]) -> tuple[Model, ...]:
    chosen = []
    if pair is not None:
        if not (pair.base and pair.tuned):
            raise UserError("Give two models or more of your own, each as NAME=FOLDER or NAME=OWNER/NAME.")
        chosen = [Model("base", pair.base), Model("tuned", pair.tuned)]
    chosen += [Model(_name(name), _source(source)) for name, source in others.items()]
    names = [model.name for model in chosen]
    if len({*names}) < len(names):
        raise UserError(f"Two models are called alike ({', '.join(names)}); give each a name of its own.")
    for model in chosen:
        if not isinstance(model.source, str) or "\0" in model.source or len(model.source) > LONGEST_TEXT:
            raise UserError(f"The folder or id of the model {model.name} cannot be one: {shown(model.source)}.")
        if not ids.is_folder(model.source):
            ids.need(model.source)
    return tuple(chosen)


def is_name_of_pair(source: str) -> bool:
    """Whether a model is given by the name of a pair or of a run, and not as a folder or an id."""
    return source in PAIRS or source.startswith(RUN)


def _source(source: str) -> str:
    return get_pair(source).tuned if isinstance(source, str) and is_name_of_pair(source) else source


def _name(name: str) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[\w][\w .+-]{0,39}", name):
        raise UserError(
            f"A model can be called by letters, digits, blanks and . + - _ of at most 40, and {shown(name)} is not."
        )
    return name


def _points(entry: str, eta: float) -> list[Point]:
    """The points of "ddim:8,50"."""
    name, colon, listed = entry.strip().partition(":")
    spec = get_scheduler(name)
    if not colon:
        return [Point(spec, spec.default_steps, _eta(spec, eta))]
    steps = [part.strip() for part in listed.split(",")]
    if not all(part.isdecimal() and part.isascii() and len(part) < 9 for part in steps):
        raise UserError(f"The steps of {spec.title} must be whole numbers with commas between, not {shown(listed)}.")
    return [Point(spec, check_steps(spec, int(part)), _eta(spec, eta)) for part in steps]


def _eta(spec: SchedulerSpec, eta: float) -> float:
    return check_eta(spec, eta) if spec.takes_eta else 0.0


def _cost(point: Point) -> tuple[int, str]:
    return point.evaluations, point.title


def _scorers(names: Sequence[str], pair: str, own_functions: bool) -> tuple[RewardSpec, ...]:
    """The specs without repetition, with those of `ALWAYS`."""
    wanted = dict.fromkeys([*(names or [first_choice.scorer(pair)]), *ALWAYS])
    if len(wanted) > MAX_SCORERS:
        raise UserError(f"{len(wanted)} scorers are too many; {MAX_SCORERS} are the most at once.")
    return tuple(rewards.get(name, own_functions) for name in wanted)


def _check_whole(what: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{what} must be a whole number from {low} to {high:,}, and {shown(value)} is not one.")

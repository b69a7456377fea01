"""What to compare and how: as it is asked for, and with every default filled in and every name looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ddpo import rewards
from ddpo.common.words import is_finite, shown
from ddpo.comparison import first_choice
from ddpo.diffusion import schedulers
from ddpo.diffusion.catalogue import Pair
from ddpo.diffusion.schedulers import SchedulerSpec
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.rewards import RewardSpec
from ddpo.runs.pairs import OWN, get_pair

if TYPE_CHECKING:
    from ddpo.diffusion.precision import PrecisionName

MAX_SAMPLES = 16
DEFAULT_SAMPLES = 8  # of church-64; with four, the interval of a gain of 1.3 standard deviations may hold zero
MAX_SEED = 2**32 - 1
LONGEST_TEXT = 1000  # characters of a name, a folder or two sentences


@dataclass(frozen=True)
class ComparisonSettings:
    """What to compare and how; `resolve` fills in what is left out.

    Raises:
        UserError: a value is outside its range, or a name is not known.
    """

    pair: str | None = None  # its name; "own": base and tuned are both given; None: `first_choice.choose`
    scheduler: str = "ddim"
    steps: int | None = None  # denoising steps; None is the scheduler's default
    eta: float = 0.0  # DDIM's share of noise, in [0, 1]
    samples: int = DEFAULT_SAMPLES  # pictures of each model, 1 .. MAX_SAMPLES, from seeds seed, seed + 1, ...
    seed: int = 0  # first seed, 0 .. MAX_SEED
    scorer: str = ""  # its name; "": `first_choice.scorer` of the pair
    base: str | None = None  # folder or Hub id of a model that replaces the pair's base
    tuned: str | None = None  # folder or Hub id of a model that replaces the pair's finetuned one
    precision: PrecisionName | None = None  # None: DDPO_PRECISION, else what the hardware is quick at

    def __post_init__(self) -> None:
        for what, name in (("pair", self.pair), ("scheduler", self.scheduler), ("scorer", self.scorer)):
            if name is not None:
                _check_text(f"The {what}", name)
        for what, source in (("base", self.base), ("finetuned", self.tuned)):
            if source is not None:
                _check_text(f"The folder or id of the {what} model", source)
        if self.pair is not None:
            get_pair(self.pair)
        if self.pair == OWN and not (self.base and self.tuned):
            raise UserError("Give both models, the base and the finetuned one, each as a folder or an id on the Hub.")
        if self.scorer:
            rewards.get(self.scorer)
        spec = schedulers.get_scheduler(self.scheduler)
        if self.steps is not None:
            _check_number("The number of steps", self.steps)
            schedulers.check_steps(spec, self.steps)
        _check_number("eta", self.eta)
        schedulers.check_eta(spec, self.eta)
        _check_whole("The number of samples", self.samples, 1, MAX_SAMPLES)
        _check_whole("The seed", self.seed, 0, MAX_SEED)

    @property
    def seeds(self) -> list[int]:
        """The seeds of the pictures; they wrap around after MAX_SEED."""
        return _seeds(self.seed, self.samples)


@dataclass(frozen=True)
class Comparison:
    """A comparison of which everything is settled but the device. Made by `resolve`."""

    pair: Pair
    scheduler: SchedulerSpec
    steps: int  # denoising steps
    eta: float  # DDIM's share of noise; 0 for schedulers that take none
    samples: int  # pictures of each model
    seed: int  # first seed
    scorer: RewardSpec
    base: str  # folder or Hub id
    tuned: str  # folder or Hub id
    precision: PrecisionName | None

    @property
    def seeds(self) -> list[int]:
        """The seeds of the pictures; they wrap around after MAX_SEED."""
        return _seeds(self.seed, self.samples)

    def pixel_steps(self, side: int) -> float:
        """What it costs, in millions of pictures x steps x pixels; a step that asks the network twice counts twice.

        Args:
            side: of a picture, in pixels.
        """
        return self.samples * self.steps * self.scheduler.evaluations * side**2 / 1e6

    def check_cost(self, side: int, most: float | None) -> None:
        """Refuse a comparison that costs too much.

        Args:
            side: of a picture, in pixels.
            most: in the unit of `pixel_steps`; None: no limit.

        Raises:
            UserError: it costs more.
        """
        what = f"{self.samples} pictures of {side} x {side} pixels in {self.steps} steps"
        check_cost(self.pixel_steps(side), most, what, "draw fewer pictures or take fewer steps")

    @property
    def models(self) -> str:
        """What is compared, for people: the title of the pair, with the names of models that are not its own."""
        base, tuned = ids.short_name(self.base), ids.short_name(self.tuned)
        if self.pair.name == OWN:
            return f"{base} against {tuned}"
        other = [f"{base} as its base"] if self.base != self.pair.base else []
        other += [f"{tuned} as its finetuned model"] if self.tuned != self.pair.tuned else []
        return " with ".join([self.pair.title, *other])

    def to_dict(self) -> dict[str, Any]:
        """The settings that ask for this comparison again, ready for JSON.

        Where a model lies on this machine concerns nobody: None is the pair's own, else the id or the folder's name.
        """
        own = (self.base, self.pair.base), (self.tuned, self.pair.tuned)
        base, tuned = (None if source == pairs else ids.short_name(source) for source, pairs in own)
        return {
            "pair": self.pair.name,
            "scheduler": self.scheduler.name,
            "steps": self.steps,
            "eta": self.eta,
            "samples": self.samples,
            "seed": self.seed,
            "scorer": self.scorer.name,
            "base": base,
            "tuned": tuned,
            "precision": self.precision,
        }


def check_cost(cost: float, most: float | None, what: str, remedy: str) -> None:
    """Refuse what costs too much.

    Args:
        cost: in millions of pictures x steps x pixels.
        most: that it may cost; None: no limit.
        what: costs that, as the subject of a sentence.
        remedy: what to do, as a clause.

    Raises:
        UserError: it costs more.
    """
    if most is not None and cost > most:
        raise UserError(
            f"{what} are {cost:.4g} million pixel steps, and at most {most:.4g} are allowed here; {remedy}."
        )


def resolve(settings: ComparisonSettings) -> Comparison:
    """Fill every default in and look every name up, once. The first choice of a pair may ask the Hub.

    Raises:
        UserError: a run that is named has gone meanwhile.
    """
    pair = get_pair(settings.pair or first_choice.choose().pair)
    if settings.base not in (None, "", pair.base) and settings.tuned not in (None, "", pair.tuned):
        pair = get_pair(OWN)
    spec = schedulers.get_scheduler(settings.scheduler)
    return Comparison(
        pair=pair,
        scheduler=spec,
        steps=spec.default_steps if settings.steps is None else settings.steps,
        eta=settings.eta if spec.takes_eta else 0.0,
        samples=settings.samples,
        seed=settings.seed,
        scorer=rewards.get(settings.scorer or first_choice.scorer(pair.name)),
        base=settings.base or pair.base,
        tuned=settings.tuned or pair.tuned,
        precision=settings.precision,
    )


def _seeds(first: int, count: int) -> list[int]:
    return [(first + i) % (MAX_SEED + 1) for i in range(count)]


def _check_text(what: str, value: str) -> None:
    if not isinstance(value, str) or "\0" in value:
        raise UserError(f"{what} must be given as text, and {shown(value)} is not.")
    if len(value) > LONGEST_TEXT:
        raise UserError(f"{what} must have at most {LONGEST_TEXT} characters, and {len(value):,} are too many.")


def _check_number(what: str, value: float) -> None:
    if not is_finite(value):
        raise UserError(f"{what} must be a finite number, and {shown(value)} is not one.")


def _check_whole(what: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{what} must be a whole number from {low} to {high}, and {shown(value)} is not one.")

"""The engine: every cell drawn once, scored by every scorer, measured against the base, and told as it is done.

`evaluate` is a generator. Closing it stops between two steps of the network. What was finished lies in the store, so
the same evaluation, started again, draws only what is missing and ends with the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddpo import rewards
from ddpo.common import company
from ddpo.comparison.events import Progress
from ddpo.comparison.loading import import_engine, load, load_scorer
from ddpo.errors import UserError
from ddpo.evaluation.measured import FEWEST, ReferenceDistance
from ddpo.evaluation.plan import Cell, Evaluation, Model, Point
from ddpo.evaluation.results import CellResult, Pictures, Results
from ddpo.evaluation.store import CellStore, Drawn, StoredCell

if TYPE_CHECKING:
    from ddpo.diffusion.models import DiffusionModel
    from ddpo.diffusion.precision import Compute
    from ddpo.evaluation.measured import Measures
    from ddpo.evaluation.reference import Reference

BATCH, BATCH_ON_GPU = 16, 64  # pictures that are drawn, and lost in a kill, at once
SCORED = 32  # pictures that a scorer is given at once


@dataclass(frozen=True)
class CellDone:
    """A cell is finished; `results` holds all that are."""

    cell: CellResult
    results: Results


def evaluate(
    evaluation: Evaluation, store: CellStore, points: Sequence[Point] | None = None, most: float | None = None
) -> Iterator[Progress | CellDone]:
    """Run an evaluation: many `Progress`, and a `CellDone` for each cell, of which the last has the whole results.

    Args:
        evaluation: what is evaluated.
        store: where pictures and scores are kept.
        points: those of its points that are drawn now, so that the rest may follow in another call; None: all.
        most: that all of it may cost, in the unit of `Evaluation.pixel_steps`; None: no limit.

    Raises:
        UserError: a model or a scorer cannot be had, models draw pictures of different sizes, they cost too much, or
            the disk refuses.
    """
    yield Progress("Loading the models", 0, 0)
    import_engine()
    chosen = evaluation.points if points is None else points
    with company.computing():
        yield from _Running(evaluation, store, chosen, most).run()


class _Running:
    """One evaluation while it runs. Of pictures, those of a cell and of its base are in memory."""

    def __init__(self, evaluation: Evaluation, store: CellStore, points: Sequence[Point], most: float | None) -> None:
        from ddpo.diffusion.precision import choose_compute

        self.evaluation, self.store, self.most = evaluation, store, most
        self.cells = [cell for cell in evaluation.cells if cell.point in points]
        self.compute: Compute = choose_compute(evaluation.precision)
        self.batch = BATCH_ON_GPU if self.compute.device.type == "cuda" else BATCH
        self.weights: dict[Model, str] = {}
        self.shapes: dict[Model, tuple[int, int, int]] = {}
        self.scorers: dict[str, tuple[rewards.Reward, str]] = {}  # by name, with the key of their scores
        self.reference: Reference | None = None
        self.progress = _Pace(sum(cell.point.evaluations for cell in self.cells) * len(evaluation.seeds))

    def run(self) -> Iterator[Progress | CellDone]:
        yield from self._prepare()
        finished: list[CellResult] = []
        for cell in self.cells:
            stored, drawn, cached = yield from self._draw(cell)
            yield self.progress.at(f"Scoring {cell.title}")
            scores = {spec.name: self._scores(spec.name, stored, drawn) for spec in self.evaluation.scorers}
            measures = None if cell.model == self.evaluation.base else self._measures(cell, stored, drawn)
            away = self._away(stored, drawn)
            result = CellResult(cell, stored.key, scores, drawn.seconds, drawn.evaluations, cached, measures, away)
            finished.append(result)
            yield CellDone(result, Results(self.evaluation, finished))

    def _prepare(self) -> Iterator[Progress]:
        """Everything that may not be had, before anything is drawn."""
        from ddpo.evaluation.keys import fingerprint, scorer_key

        for model in self.evaluation.models:
            loaded = yield from load(model.source, self.compute)
            self.weights[model], self.shapes[model] = fingerprint(loaded), loaded.picture_shape
        shape, *others = {*self.shapes.values()}
        if others:
            sizes = ", ".join(f"{model.name} {shape[1]} x {shape[2]}" for model, shape in self.shapes.items())
            raise UserError(f"The models draw pictures of different sizes ({sizes}), so they cannot be compared.")
        self.evaluation.check_cost(max(shape[1:]), self.most)  # what a model on the Hub draws is known only now
        if self.evaluation.reference and len(self.evaluation.seeds) >= FEWEST:
            from ddpo.evaluation.reference import load_reference

            yield Progress("Looking at the reference pictures", 0, 0)
            self.reference = load_reference(self.evaluation.reference, shape[1])
        for spec in self.evaluation.scorers:
            reward = yield from load_scorer(spec, self.compute)
            self.scorers[spec.name] = reward, scorer_key(spec, reward, self.compute)

    def _stored(self, cell: Cell) -> StoredCell:
        from ddpo.evaluation.keys import picture_facts

        facts = picture_facts(self.weights[cell.model], self.shapes[cell.model], cell.point, self.compute)
        return self.store.cell(facts)

    def _draw(self, cell: Cell) -> Generator[Progress, None, tuple[StoredCell, Drawn, bool]]:
        """The pictures of a cell, from the store as far as they are there, and whether that was all of them."""
        seeds, stored, cached = self.evaluation.seeds, self._stored(cell), True
        while (drawn := stored.load(seeds)) is None:  # once more where a file turned out to be damaged
            missing, cached = stored.missing(seeds), False
            self.progress.skip((len(seeds) - len(missing)) * cell.point.evaluations)
            model = yield from load(cell.model.source, self.compute)
            for first in range(0, len(missing), self.batch):
                yield from self._draw_batch(model, cell, stored, missing[first : first + self.batch])
        self.progress.finish(cell.point.evaluations * len(seeds))
        return stored, drawn, cached

    def _draw_batch(
        self, model: DiffusionModel, cell: Cell, stored: StoredCell, seeds: Sequence[int]
    ) -> Iterator[Progress]:
        from ddpo.diffusion.pictures import to_uint8
        from ddpo.diffusion.sampling import sample

        states = sample(model, seeds, cell.point.scheduler, cell.point.steps, self.compute, cell.point.eta)
        seconds = 0.0  # without those that whoever listens takes
        while True:
            started = time.perf_counter()
            state = next(states, None)
            seconds += time.perf_counter() - started
            if state is None:
                break
            last = state
            share = len(seeds) * cell.point.evaluations * state.step / state.total
            yield self.progress.at(f"Drawing {cell.title}", share, seconds)
        self.progress.advance(len(seeds) * cell.point.evaluations, seconds)
        stored.add(seeds, to_uint8(last.x_t), seconds, last.total)

    def _scores(self, name: str, stored: StoredCell, drawn: Drawn) -> tuple[float, ...]:
        reward, key = self.scorers[name]
        there, seeds = stored.scores(key), self.evaluation.seeds
        missing = [place for place, seed in enumerate(seeds) if seed not in there]
        if missing:
            new = _score(reward, drawn.pictures[missing], self.compute, name)
            stored.add_scores(key, {seeds[place]: score for place, score in zip(missing, new, strict=True)})
            there = stored.scores(key)  # as they are the next time
        return tuple(there[seed] for seed in seeds)

    def _measures(self, cell: Cell, stored: StoredCell, drawn: Drawn) -> Measures | None:
        """Against the base's pictures, which are in the store by now; kept beside the cell's."""
        from ddpo.evaluation import measured, measures

        base = self._stored(Cell(self.evaluation.base, cell.point))

        def find() -> dict[str, Any]:
            theirs = base.load(self.evaluation.seeds)
            found = measures.measure(theirs.pictures, drawn.pictures) if theirs is not None else None
            return {"measures": asdict(found) if found else None}

        kept = self._noted(stored, {"version": measures.VERSION, "base": base.key}, find)
        return measured.from_dict(kept["measures"]) if kept["measures"] else None

    def _away(self, stored: StoredCell, drawn: Drawn) -> ReferenceDistance | None:
        """How far the pictures are from the reference; kept beside the cell's."""
        reference = self.reference
        if reference is None:
            return None
        from ddpo.evaluation.reference import VERSION

        facts = {"version": VERSION, "reference": reference.fingerprint}
        return ReferenceDistance(**self._noted(stored, facts, lambda: asdict(reference.distance(drawn.pictures))))

    def _noted(self, stored: StoredCell, facts: dict[str, Any], find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was found of a cell's pictures, by what decides it besides the seeds; found where it is not kept yet."""
        from ddpo.evaluation.keys import digest

        key = digest({**facts, "seeds": list(self.evaluation.seeds)})
        kept = stored.note(key)
        if kept is None:
            kept = find()
            stored.add_note(key, kept)
        return kept


class _Pace:
    """How far an evaluation is, in evaluations of the network times pictures."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.cell_began = total, 0.0, 0.0
        self.drawn, self.seconds = 0.0, 0.0  # what was drawn by this process, and how long that took

    def at(self, stage: str, share: float = 0.0, seconds: float = 0.0) -> Progress:
        """Where it stands, with so much of a batch done in so many seconds."""
        drawn, spent = self.drawn + share, self.seconds + seconds
        left = spent / drawn * (self.total - self.done - share) if drawn else None
        return Progress(stage, int(self.done + share), self.total, left)

    def skip(self, amount: float) -> None:
        """Part of a cell that was there already."""
        self.done = self.cell_began + amount

    def advance(self, amount: float, seconds: float) -> None:
        """A batch was drawn."""
        self.done, self.drawn, self.seconds = self.done + amount, self.drawn + amount, self.seconds + seconds

    def finish(self, amount: float) -> None:
        """A cell is complete, whatever of it had been drawn before."""
        self.cell_began += amount
        self.done = self.cell_began


def _score(reward: rewards.Reward, pictures: np.ndarray, compute: Compute, name: str) -> list[float]:
    """Scores of 8-bit pictures, a few at a time.

    Raises:
        UserError: the scorer fails, or returns something other than a finite score for each.
    """
    import torch

    from ddpo.diffusion.pictures import from_uint8

    scores: list[float] = []
    for first in range(0, len(pictures), SCORED):
        part = from_uint8(pictures[first : first + SCORED]).to(compute.device)
        try:
            with torch.no_grad():
                answer = torch.as_tensor(reward(part)).float().cpu()
        except UserError:
            raise
        except Exception as error:  # whatever a function of somebody's own raises
            raise UserError(f"The scorer {name} failed: {type(error).__name__}: {error}.") from error
        if answer.shape != (len(part),) or not bool(torch.isfinite(answer).all()):
            raise UserError(f"The scorer {name} must return a finite score for each picture, and it did not.")
        scores += answer.tolist()
    return scores


def pictures_in(store: CellStore, results: Results) -> Pictures:
    """What gives the pictures of a finished cell, one at a time.

    It raises UserError where somebody has removed them meanwhile.
    """

    def load_one(cell: Cell) -> np.ndarray:
        drawn = store.open(results.by_cell[cell].key).load(results.evaluation.seeds)
        if drawn is None:
            raise UserError(f"The pictures of {cell.title} are no longer in {store.root}; run the evaluation again.")
        return drawn.pictures

    return load_one


def facts_of(evaluation: Evaluation) -> dict[str, Any]:
    """What decides an evaluation, for a report: the arguments, the versions and the seeds."""
    from ddpo.diffusion.precision import choose_compute
    from ddpo.evaluation.keys import versions

    compute = str(choose_compute(evaluation.precision))
    return {"asked": dict(evaluation.asked), "versions": versions(), "compute": compute, "seeds": [*evaluation.seeds]}

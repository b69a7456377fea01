"""Cells are drawn once, whatever happens, and their numbers are the same in whatever way they came about."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddpo.comparison.events import Progress
from ddpo.diffusion.models import cache, load_model
from ddpo.diffusion.precision import Compute, choose_compute
from ddpo.diffusion.schedulers import get_scheduler
from ddpo.errors import UserError
from ddpo.evaluation.evaluate import CellDone, evaluate
from ddpo.evaluation.keys import fingerprint, picture_facts, scorer_key
from ddpo.evaluation.plan import Evaluation, Point, make_evaluation
from ddpo.evaluation.results import Results
from ddpo.evaluation.store import CellStore
from ddpo.rewards import REWARDS, build
from tests.helpers.models import two_models

SEEDS = 20  # a whole batch and a part of one


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two tiny models."""
    return two_models(tmp_path_factory.mktemp("models"))


def tiny(folders: dict[str, str], **changes: Any) -> Evaluation:
    values: dict[str, Any] = {"grid": ("ddim:2,3", "heun:2"), "seeds": SEEDS, "precision": "float32", **changes}
    return make_evaluation(models=folders, **values)


def run(evaluation: Evaluation, root: Path) -> Results:
    *_, last = evaluate(evaluation, CellStore(root))
    assert isinstance(last, CellDone)
    return last.results


def numbers(results: Results) -> Any:
    """Everything but how long it took."""
    return (
        [
            (result.cell.title, dict(result.scores), result.evaluations, repr(result.measures))
            for result in results.cells
        ],
        [(compared.gains, compared.verdict) for compared in results.comparisons],
    )


class Calls:
    """Counts how often networks are asked."""

    def __init__(self, folders: dict[str, str]) -> None:
        self.count = 0
        self.hooks = [
            cache.get(source, choose_compute("float32")).unet.register_forward_hook(self) for source in folders.values()
        ]

    def __call__(self, *_: Any) -> None:
        self.count += 1

    def taken(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture
def calls(folders: dict[str, str]) -> Iterator[Calls]:
    counted = Calls(folders)
    yield counted
    for hook in counted.hooks:
        hook.remove()


def test_a_second_evaluation_draws_nothing_and_ends_with_the_same_numbers(
    folders: dict[str, str], tmp_path: Path, calls: Calls
) -> None:
    first = run(tiny(folders), tmp_path)
    assert calls.taken() == 2 * 2 * (2 + 3 + 3)  # models, batches, evaluations: Heun takes 2 n - 1
    again = run(tiny(folders), tmp_path)
    assert calls.taken() == 0 and all(result.from_cache for result in again.cells)
    assert numbers(again) == numbers(first) and len(first.cells) == 6 and len(first.comparisons) == 3


def test_another_scorer_draws_nothing_and_more_seeds_draw_only_those(
    folders: dict[str, str], tmp_path: Path, calls: Calls
) -> None:
    first = run(tiny(folders, grid=("ddim:2",)), tmp_path)
    calls.taken()
    scored = run(tiny(folders, grid=("ddim:2",), scorers=("jpeg-compressibility",)), tmp_path)
    assert calls.taken() == 0
    assert scored.evaluation.target.name == "jpeg-compressibility" and scored.cells[0].mean("jpeg-compressibility") < 0
    more = run(tiny(folders, grid=("ddim:2",), seeds=SEEDS + 3), tmp_path)
    assert calls.taken() == 2 * 2  # one batch of three for each model
    assert more.cells[0].scores["photographic"][:SEEDS] == first.cells[0].scores["photographic"]


def test_stopped_half_way_and_started_again_it_ends_with_the_same_numbers(
    folders: dict[str, str], tmp_path: Path, calls: Calls
) -> None:
    whole = run(tiny(folders), tmp_path / "whole")
    everything = calls.taken()
    events = evaluate(tiny(folders), CellStore(tmp_path / "stopped"))
    drawing = (event for event in events if isinstance(event, Progress) and event.stage.startswith("Drawing"))
    for _ in itertools.islice(drawing, 13):  # within a batch of the third cell or later
        pass
    events.close()  # type: ignore[attr-defined]
    before = calls.taken()
    assert 13 <= before < everything / 2
    resumed = run(tiny(folders), tmp_path / "stopped")
    assert numbers(resumed) == numbers(whole)
    assert calls.taken() < everything - before + 3  # what the stop lost is less than a batch of three steps


def test_files_that_a_kill_or_a_disk_damaged_are_drawn_again(
    folders: dict[str, str], tmp_path: Path, calls: Calls
) -> None:
    first = run(tiny(folders, grid=("ddim:2",)), tmp_path)
    calls.taken()
    torn, empty, *_ = sorted(tmp_path.rglob("pictures-*.npz"))
    torn.write_bytes(torn.read_bytes()[:300])
    empty.write_bytes(b"")
    for path in tmp_path.rglob("scores-*.json"):
        path.write_text("[1, 2")
    (torn.parent / "pictures-1-1.npz.1234.part").write_bytes(b"half")
    again = run(tiny(folders, grid=("ddim:2",)), tmp_path)
    assert numbers(again) == numbers(first) and calls.taken() == 2 * 2


def test_whatever_decides_pictures_or_scores_is_in_their_key(folders: dict[str, str], compute: Compute) -> None:
    plain, other = (load_model(source, compute) for source in folders.values())
    assert fingerprint(plain) == fingerprint(load_model(folders["plain"], compute)) != fingerprint(other)
    ddim, shape = get_scheduler("ddim"), (3, 16, 16)
    facts = picture_facts("a", shape, Point(ddim, 5, 0.0), compute)
    half = Compute(compute.device, torch.bfloat16)
    others = [
        picture_facts("b", shape, Point(ddim, 5, 0.0), compute),
        picture_facts("a", (3, 32, 32), Point(ddim, 5, 0.0), compute),
        picture_facts("a", shape, Point(ddim, 6, 0.0), compute),
        picture_facts("a", shape, Point(ddim, 5, 0.5), compute),
        picture_facts("a", shape, Point(get_scheduler("dpm-solver++"), 5, 0.0), compute),
        picture_facts("a", shape, Point(ddim, 5, 0.0), half),
    ]
    assert all(facts != changed for changed in others)
    specs = [REWARDS[name] for name in ("photographic", "colourfulness")]
    keys = {scorer_key(spec, build(spec, compute), where) for spec in specs for where in (compute, half)}
    assert len(keys) == 4


def test_progress_never_goes_back_and_cells_come_one_by_one(folders: dict[str, str], tmp_path: Path) -> None:
    events = list(evaluate(tiny(folders), CellStore(tmp_path)))
    steps = [event.step for event in events if isinstance(event, Progress) and event.total]
    assert steps == sorted(steps) and steps[-1] <= next(e.total for e in events if isinstance(e, Progress) and e.total)
    left = [event.seconds_left for event in events if isinstance(event, Progress)]
    assert all(seconds is None or seconds >= 0 for seconds in left) and any(left)
    done = [event for event in events if isinstance(event, CellDone)]
    assert [len(event.results.cells) for event in done] == [1, 2, 3, 4, 5, 6]
    assert [len(event.results.comparisons) for event in done] == [0, 1, 1, 2, 2, 3]
    assert done[-1].results.is_complete and not done[-2].results.is_complete


def test_a_model_against_itself_shows_no_difference(folders: dict[str, str], tmp_path: Path) -> None:
    twice = {"one": folders["plain"], "two": folders["plain"]}
    (compared,) = run(tiny(twice, grid=("ddim:2",)), tmp_path).comparisons
    assert compared.verdict.kind == "no difference shown" and compared.cell.from_cache
    measures = compared.cell.measures
    assert measures is not None and measures.modes.value == 1 and measures.distance.value == pytest.approx(0)


def test_many_cells_are_read_without_being_held(tmp_path: Path) -> None:
    """1,200 cells of 64 pictures of 64 x 64 are 943 MB; one at a time are less than 1."""
    store, pictures = CellStore(tmp_path), np.zeros((64, 64, 64, 3), np.uint8)
    facts = [{"cell": number} for number in range(30)]
    tracemalloc.start()
    for fact in facts:
        store.cell(fact).add(range(64), pictures, 1.0, 50)
    for fact in facts:
        drawn = store.cell(fact).load(range(64))
        assert drawn is not None and drawn.pictures.shape == pictures.shape and drawn.evaluations == 50
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * pictures.nbytes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grid": ("ddim:2,x",)}, "whole numbers with commas"),
        ({"grid": ("ddim:0",)}, "steps"),
        ({"grid": ("euler:5",)}, "no scheduler called"),
        ({"grid": ()}, "at least one scheduler"),
        ({"grid": tuple(f"ddim:{n}" for n in range(1, 1000)), "models": {"a": "a/b", "b": "b/c", "c": "c/d"}}, "cells"),
        ({"seeds": 1}, "number of seeds"),
        ({"seeds": True}, "number of seeds"),
        ({"seed": -1}, "first seed"),
        ({"eta": 2.0}, "eta"),
        ({"scorers": ("beauty",)}, "beauty"),
        ({"scorers": ("os:getcwd",)}, "command line"),
        ({"pair": "cathedral"}, "no model pair"),
        ({"pair": "own"}, "two models or more"),
        ({"models": {"a": "nowhere at all", "b": "a/b"}}, "no folder"),
        ({"pair": "church-64", "models": {"base": "a/b"}}, "called alike"),
        ({"models": {"<b>": "a/b", "b": "a/b"}}, "letters, digits"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        make_evaluation(**changes)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_models_of_different_sizes_are_refused_before_anything_is_drawn(
    folders: dict[str, str], tmp_path: Path
) -> None:
    mixed = make_evaluation(pair="church-64", models={"tiny": folders["plain"]}, precision="float32")
    with pytest.raises(UserError, match="different sizes"):
        list(evaluate(mixed, CellStore(tmp_path)))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_told_in_a_sentence(folders: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="no folder"):
        run(tiny(folders, grid=("ddim:2",)), tmp_path / "file")


def test_the_cheapest_point_that_is_as_good_as_the_best(folders: dict[str, str], tmp_path: Path) -> None:
    results = run(tiny(folders), tmp_path)
    model = results.evaluation.models[1]
    found = results.as_good(model)
    assert found is not None
    means = {result.cell.point: result.mean("photographic") for result in results.cells if result.cell.model == model}
    assert found[0] == max(means, key=lambda point: means[point]) and found[1].evaluations <= found[0].evaluations
    assert run(tiny(folders, grid=("ddim:2",)), tmp_path).as_good(model) is None

"""Other scorers, the terms of one, and the diversity kept, all from the pictures that are there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from ddpo.comparison import saved
from ddpo.comparison.diversity import diversity_kept
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.rescore import at_hand, rescore
from ddpo.comparison.why import changes, score_of, terms_of
from ddpo.diffusion import sampling
from ddpo.errors import UserError


@pytest.fixture(autouse=True)
def nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "sample", lambda *_: pytest.fail("it was drawn again"))


@pytest.fixture(scope="module")
def result() -> ComparisonResult:
    found = saved.bundled()
    assert found is not None
    return found


def last(events: Iterator[Progress | ComparisonResult]) -> ComparisonResult:
    *_, found = events
    assert isinstance(found, ComparisonResult)
    return found


def test_one_scorer_after_another_scores_the_same_pictures(result: ComparisonResult) -> None:
    for name in at_hand("photographic"):
        again = last(rescore(result, name))
        assert again.comparison.scorer.name == name and again.base_images is result.base_images
        assert again.statistics.n == len(result.seeds) and name in again.sentence
    again = last(rescore(last(rescore(result, "colourfulness")), "photographic"))
    assert again.base_scores == pytest.approx(result.base_scores, abs=1e-4)
    assert again.tuned_scores == pytest.approx(result.tuned_scores, abs=1e-4)


def test_scorers_at_hand_need_no_download_and_no_words() -> None:
    assert at_hand("jpeg-compressibility")[:2] == ["jpeg-compressibility", "photographic"]
    assert not {"prompt", "laion-v2"} & {*at_hand()}


def test_a_scorer_that_is_not_known_is_refused(result: ComparisonResult) -> None:
    with pytest.raises(UserError, match="no reward named 'beauty'"):
        list(rescore(result, "beauty"))


def test_terms_make_the_score(result: ComparisonResult) -> None:
    base, tuned = terms_of(result.base_images), terms_of(result.tuned_images)
    assert [score_of(terms) for terms in base] == pytest.approx(result.base_scores, abs=1e-3)
    found = changes(base, tuned)
    ratio = np.prod([change.factor for change in found])
    gains = [(after - 1) / (before - 1) for before, after in zip(result.base_scores, result.tuned_scores, strict=True)]
    assert ratio == pytest.approx(np.exp(np.mean(np.log(gains))), rel=1e-3)
    assert [change.factor for change in found] == sorted((change.factor for change in found), reverse=True)


def test_a_term_that_was_changed_is_named(result: ComparisonResult) -> None:
    grey = [image.convert("L").convert("RGB") for image in result.base_images]
    found = {change.name: change.factor for change in changes(terms_of(result.base_images), terms_of(grey))}
    assert found["colour"] < 0.85 and found["colour"] < found["sharpness"] and abs(found["contrast"] - 1) < 0.1


def test_diversity_kept_has_its_noise_from_eight_seeds_on(result: ComparisonResult) -> None:
    found = diversity_kept(result.base_images, result.tuned_images)
    assert found is not None and result.diversity is not None
    assert (found.value, found.noise) == pytest.approx((result.diversity.value, result.diversity.noise), abs=1e-3)
    assert diversity_kept(result.base_images[:7], result.tuned_images[:7]) is None
    same = diversity_kept(result.base_images, result.base_images)
    assert same is not None and same.value == 1 and same.noise < 1e-9
    collapsed = diversity_kept(result.base_images, result.tuned_images[:1] * 8)
    assert collapsed is not None and collapsed.value < 1e-6
    assert diversity_kept([Image.new("RGB", (8, 8))] * 8, [Image.new("RGB", (8, 8))] * 8) is None

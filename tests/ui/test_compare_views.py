"""What the Compare tab says of a result, and how it names its pictures."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ddpo import rewards
from ddpo.common.statistics import paired_statistics
from ddpo.comparison import saved
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.ui.compare import tab, tour, turn, views
from ddpo.ui.shared.events import CANCELLING
from ddpo.ui.shared.html import amount, difference
from ddpo.ui.space.turns import Place


@pytest.fixture
def result() -> ComparisonResult:
    found = saved.bundled()
    assert found is not None
    return found


@pytest.fixture
def of_sizes(result: ComparisonResult) -> ComparisonResult:
    """The same pictures, scored by minus their sizes, which grew by 0.5 kB."""
    before = [-5.0 - index for index in range(8)]
    after = [score + (-0.5 if index else -0.4) for index, score in enumerate(before)]
    return replace(
        result, comparison=replace(result.comparison, scorer=rewards.get("jpeg-compressibility")), base_scores=before,
        tuned_scores=after, statistics=paired_statistics(before, after),
    )  # fmt: skip


def test_the_summary_names_the_seeds(result: ComparisonResult) -> None:
    assert "church-64 (bundled) · seeds 0 to 7 · DDIM, 50 steps" in views.summary_card(result)
    one = replace(result, comparison=replace(result.comparison, samples=1))
    assert " · seed 0 · " in views.summary_card(one)


def test_a_size_is_told_as_a_size_and_never_below_zero(of_sizes: ComparisonResult) -> None:
    spec = of_sizes.comparison.scorer
    assert (amount(-5.234, spec), difference(-0.5, spec)) == ("5.23 kB", "+0.50 kB")
    shown = views.result_panels(of_sizes, 0) + views.figures(of_sizes) + views.chosen_line(of_sizes, 0)
    assert (
        "5.00 kB" in shown
        and '<em class="down">+0.50 kB</em>' in shown
        and not re.search(r"-\d", shown.split("95%")[0])
    )
    assert of_sizes.sentence.startswith("Over 8 seeds the finetuned model's files are 0.49 kB larger on average (jpeg-")
    low, high = re.findall(r"([+-][\d.]+) kB", views.figures(of_sizes).split("95%")[1])
    assert 0 < float(low) < float(high)


def test_each_picture_is_named_with_its_model_seed_and_score(result: ComparisonResult) -> None:
    names = re.findall(r'aria-label="([^"]+)"', views.result_panels(result, 0))
    assert len(names) == 16 and names[2] == f"Base, seed 2 {result.base_scores[2]:.2f}, larger view"
    gain = result.tuned_scores[2] - result.base_scores[2]
    assert gain > 1 and names[10] == f"Finetuned, seed 2 {result.tuned_scores[2]:.2f} +{gain:.2f}, larger view"
    handle = views.before_after(result, 2)
    assert f'alt="Finetuned, seed 2, score {result.tuned_scores[2]:.2f}"' in handle and 'type="range"' in handle


def test_progress_has_a_name_and_is_no_live_region() -> None:
    card = views.progress_card(Progress("Denoising", 3, 100))
    assert 'aria-label="Denoising"' in card and 'role="status"' not in card and "aria-live" not in card


def test_a_cancel_says_nothing_of_steps_that_there_have_not_been() -> None:
    waiting, begun = turn.waiting_card(Place(1, 5.0)), views.progress_card(Progress("Denoising", 3, 100))
    notice = tab._on_ended(CANCELLING, None, waiting)[2]
    assert "Cancelled" in notice and "step" not in notice and "about 5 s" in waiting
    assert "between two steps" in tab._on_ended(CANCELLING, None, begun)[2]


def test_the_tour_has_three_sentences_and_does_without_its_pictures(
    result: ComparisonResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tour.html()
    sentences = re.findall(r"<li>(.+?)</li>", page)
    assert len(sentences) == 3 and all(sentence.count(".") == 1 for sentence in sentences)
    assert page.count("<img") == 8 and f">{max(result.tuned_scores):.2f}" not in page.split("Finetuned")[0]
    monkeypatch.setattr(saved, "TOUR", saved.TOUR.with_name("nothing"))
    without = tour.html()
    assert "<img" not in without and "<svg" in without

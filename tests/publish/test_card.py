"""The model card: what it says of a run, and what it leaves out."""

from __future__ import annotations

import io
import math
import shutil
from dataclasses import replace
from typing import Any

from PIL import Image

from ddpo.common.files import write_json
from ddpo.common.statistics import paired_statistics
from ddpo.publish import evaluated
from ddpo.publish.curve import draw_curve
from ddpo.publish.push import write_card
from ddpo.runs.metrics import read_epoch
from ddpo.runs.store import Run
from ddpo.training.config import settings
from ddpo.training.events import EpochMetrics
from ddpo.training.recipes import make_config
from tests.helpers.finished_run import BASE
from tests.helpers.hub_server import front_matter


def test_the_card_tells_how_the_model_was_made_and_is_used(run: Run) -> None:
    statistics = paired_statistics([4.0, 5.0, 4.5, 5.5], [6.0, 6.5, 6.0, 7.5])
    card = write_card(run, statistics, "me/church-ddpo", licence="mit")
    assert 'DDPMPipeline.from_pretrained("me/church-ddpo")' in card
    assert f"[{BASE}](https://huggingface.co/{BASE})" in card and "`photographic`" in card and "recipe `quick`" in card
    assert all(f"| `{setting.name}` | `{getattr(run.spec.config, setting.name)}` |" in card for setting in settings())
    assert "went from 4.1 in the first epoch to 7 in epoch 30" in card and "30 epochs, 10 minutes" in card
    table = [line for line in card.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert 3 <= len(table) <= 12 and table[0].startswith("| 1 | 4.1 |") and table[-1].startswith("| 30 | 7 |")
    assert "Over 4 seeds the finetuned model scores 1.75 higher on average (photographic" in card
    assert "licence of the base, mit, holds" in card and "torch" in card
    for picture in ("reward.png", "grids/before.png", "grids/after.png"):
        assert f"]({picture})" in card


def test_the_card_names_the_algorithm(run: Run) -> None:
    regression = replace(
        run.spec,
        config=make_config(
            {"algorithm": "rwr", "kl_weight": 0, "diversity_floor": 0, "window": "random", "group_size": 1}
        ),
    )
    assert "finetuned with reward-weighted regression (" in write_card(replace(run, spec=regression))
    assert "finetuned with DDPO (" in write_card(run)


def test_a_card_without_statistics_claims_none(run: Run) -> None:
    card = write_card(run, repo_id="me/x")
    assert "seed by seed" not in card and "license" not in (front_matter(card) or {})


def test_a_run_that_was_stopped_early_says_so(run: Run) -> None:
    run.write_status(state="stopped", epoch=1, epochs=30)
    assert "1 epoch of 30 that were planned" in write_card(run)


def test_a_run_without_metrics_and_pictures_still_has_a_card(run: Run) -> None:
    (run.folder / "metrics.jsonl").unlink()
    shutil.rmtree(run.folder / "samples")
    card = write_card(run)
    assert "No epoch was finished." in card and "](" + "reward.png" not in card and "](" + "grids" not in card
    run.append_metrics({"kind": "epoch", "step": 1, "epoch": 1, "reward_mean": math.nan})
    assert "not known" in write_card(run)


def test_a_curve_needs_two_epochs_and_rises_where_the_reward_does() -> None:
    def line(epoch: int, mean: float | None, *quantiles: float) -> EpochMetrics:
        return read_epoch({"epoch": epoch, "reward_mean": mean, "reward_quantiles": list(quantiles) or None})

    assert draw_curve([], "x") is None and draw_curve([line(1, 2.0), line(2, None)], "x") is None
    png = draw_curve([line(1, 1.0, 0.0, 1.0, 2.0), line(2, 5.0, 4.0, 5.0, 6.0)], "x")
    assert png is not None
    pixels = Image.open(io.BytesIO(png)).convert("RGB").load()
    assert pixels is not None

    def height(x: int) -> float:
        """Of the line in a column: the mean row of its strongest pixels, counted from below."""
        rows = [y for y in range(320) if is_line(pixels[x, y])]
        return 320 - sum(rows) / len(rows)

    assert height(120) < height(360) < height(650)
    assert draw_curve([line(1, 2.0), line(2, 2.0)], "flat") is not None


def is_line(pixel: Any) -> bool:
    red, green, blue = pixel
    return bool(blue > 200 and red < 120 and green < 120)


def test_the_card_has_the_verdict_of_an_evaluation(run: Run) -> None:
    assert "Is it better?" not in write_card(run)
    verdicts = [("tuned", "Better: it gains 1.2."), ("other", "Worse.")]
    found = [
        {"model": model, "scheduler": "ddim", "steps": 50, "verdict": {"sentence": sentence}}
        for model, sentence in verdicts
    ]
    path = run.folder / evaluated.FOLDER / "results.json"
    write_json(path, {"comparisons": found})
    card = write_card(run)
    assert "**ddim, 50 steps:** Better: it gains 1.2." in card and "Worse." not in card
    assert f"python -m ddpo.evaluation --pair run:{run.id}" in card
    for damaged in ("{", "[]", '{"comparisons": 3}', '{"comparisons": [1, {"model": "tuned"}]}'):
        path.write_text(damaged)
        assert "How it was made" in write_card(run)

"""A run as the page shows it."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from ddpo.common import allocator, memory
from ddpo.errors import UserError
from ddpo.publish import evaluated
from ddpo.runs.estimate import Estimate
from ddpo.runs.store import list_runs, training_lock
from ddpo.training.held_out_curve import HeldOutEvaluation
from ddpo.training.recipes import make_config
from ddpo.ui.space import asker, permission, sign_in
from ddpo.ui.space.asker import Asker
from ddpo.ui.space.sign_in_button import SIGN_IN
from ddpo.ui.train import actions, beginning, live, motion, run_list, tab, views
from ddpo.ui.train.plots import MOST_POINTS, Curve, chart, thinned
from tests.helpers.run_folders import CHURCH, draw_grid, epoch_line, make_run

OWNER = {"name": "O", "preferred_username": "owner", "profile": "", "picture": ""}


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_the_status_says_state_progress_and_what_went_wrong(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed", 2, error="The disk is <b>full</b>.")
    assert "before its first checkpoint, so nothing of it is kept" in views.status_card(actions.look_at(run))
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "0000000018.pt").touch()
    card = views.status_card(actions.look_at(run))
    assert "Failed" in card and "50%" in card and "epoch 2 of 4" in card
    assert "The disk is &lt;b&gt;full&lt;/b&gt;." in card and "Resume goes on" in card


def test_time_left_is_told_while_it_trains_and_a_stop_is_told_at_once(tmp_path: Path) -> None:
    run = make_run(tmp_path, "running", 1)
    assert "Interrupted" in views.status_card(actions.look_at(run))
    with training_lock(tmp_path, run):
        assert "about 30 s left" in views.status_card(actions.look_at(run))
        actions.stop(run)
        assert "Stopping" in views.status_card(actions.look_at(run))


def test_a_finished_run_leads_to_its_evaluation_and_shows_what_one_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, "finished", 4)
    assert "tab=evaluate" not in views.diagnosis_card(actions.look_at(run))  # nothing to evaluate yet
    (run.result / "unet").mkdir(parents=True)
    (run.result / "model_index.json").write_text("{}")
    card = views.diagnosis_card(actions.look_at(run))
    assert f"?tab=evaluate&amp;eval-pair=run%3A{run.id}" in card and evaluated.command(run) in card
    monkeypatch.setenv("SPACE_ID", "me/space")
    assert evaluated.command(run) not in views.diagnosis_card(actions.look_at(run))  # there is no command line
    verdict = {"model": "tuned", "scheduler": "DDIM", "steps": 50, "verdict": {"sentence": "<b>Better</b>."}}
    (run.folder / evaluated.FOLDER).mkdir()
    (run.folder / evaluated.FOLDER / "results.json").write_text(json.dumps({"comparisons": [verdict]}))
    assert "<li><b>DDIM, 50 steps:</b> &lt;b&gt;Better&lt;/b&gt;.</li>" in views.diagnosis_card(actions.look_at(run))


def test_every_figure_has_a_chart(tmp_path: Path) -> None:
    html = views.charts(actions.look_at(make_run(tmp_path, "finished", 4)))
    assert html.count("<polyline") == 6 and html.count('class="band"') == 1
    for title in ("Reward", "KL", "Clip fraction", "Gradient norm", "Diversity", "Pictures a second"):
        assert title in html
    assert "epoch 2: 4.20 (3.20 to 5.20)" in html  # under the pointer


def test_held_out_seeds_come_before_everything_else(tmp_path: Path) -> None:
    run = make_run(tmp_path, "running", 4)
    assert "held-out" not in views.status_card(actions.look_at(run))
    assert actions.facts(run)["held_out"] is None
    for epoch, gain in ((0, 0.0), (2, 1.25), (4, 0.75)):
        look = HeldOutEvaluation(9 * epoch + 1, epoch, 64, 5.0 + gain, 1.0, gain, 0.1, 0.9, 0.9, 10.0 * epoch)
        run.append_metrics({"kind": "evaluation", **look.as_dict()})
    seen = actions.look_at(run)
    html, card = views.charts(seen), views.status_card(seen)
    assert html.index("Gain on held-out seeds") < html.index("Reward, mean") and "best: epoch 2" in html
    assert html.count("<polyline") == 7 and "epoch 2: +1.25 (+1.05 to +1.45)" in html
    assert card.index("after epoch 4: reward 5.000 -&gt; 5.750, +0.75") < card.index("epoch 4 of 4")
    facts = actions.facts(run, history=True)
    assert (facts["held_out"]["best"]["epoch"], facts["held_out"]["last"]["epoch"]) == (2, 4)
    assert [each["epoch"] for each in facts["held_out_history"]] == [0, 2, 4]


def test_a_figure_that_was_not_finite_is_left_out_of_the_charts_and_told_in_words(tmp_path: Path) -> None:
    run = make_run(tmp_path, "running", 2)
    run.append_metrics({**epoch_line(3, 4), "kl": math.nan, "reward_mean": math.inf})
    seen = actions.look_at(run)
    html = views.charts(seen)
    assert html.count("<polyline") == 6 and "epoch 3: 97%" in html and "epoch 2: 4.20" in html
    assert "epoch 3: 4" not in html and "nan" not in html and "inf" not in html
    assert "worse" in views.diagnosis_card(seen) and seen.diagnosis.verdict == "divergence"


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0, 2.0], [0.0], [-3.0, 5.0]])
def test_a_chart_stays_within_its_box(values: list[float]) -> None:
    html = chart(Curve("x", range(1, len(values) + 1), values, str, [(v - 1, v + 1) for v in values], floor=0.0))
    points = html.split('class="curve" points="')[1].split('"')[0]
    coordinates = [float(number) for pair in points.split() for number in pair.split(",")]
    assert len(coordinates) >= 4 and all(0 <= number <= 100 for number in coordinates)


def test_one_epoch_is_a_mark_and_a_share_ends_at_100_percent() -> None:
    html = chart(Curve("x", [1], [0.98], "{:.0%}".format, [(0.9, 1.0)], floor=0.0, reference=1.0, ceiling=1.0))
    band = html.split('class="band" points="')[1].split('"')[0]
    assert {pair.split(",")[0] for pair in band.split()} == {"48.00", "52.00"}
    assert "0% to 100%" in html and "106%" not in html
    beyond = chart(Curve("x", [1, 2], [0.98, 1.2], "{:.0%}".format, floor=0.0, ceiling=1.0))
    assert "0% to 127%" in beyond


def test_the_values_of_charts_are_a_table_too(tmp_path: Path) -> None:
    html = views.charts(actions.look_at(make_run(tmp_path, "finished", 4)))
    assert '<th scope="row">4</th><td>4.40</td>' in html and html.count('<th scope="row">') == 4


def test_the_grid_is_cut_into_its_pictures(tmp_path: Path) -> None:
    draw_grid(tmp_path / "grid.png", 200)
    cells = motion.cut(tmp_path / "grid.png")
    assert [cell.size for cell in cells] == [(16, 16)] * 8
    assert [cell.getpixel((0, 0)) for cell in cells] == [(30 * i, 200, 128) for i in range(8)]
    Image.new("RGB", (100, 64)).save(tmp_path / "other.png")
    assert [cell.size for cell in motion.cut(tmp_path / "other.png")] == [(100, 64)]


def test_the_pictures_of_an_epoch_stand_beside_the_base(tmp_path: Path) -> None:
    seen = actions.look_at(make_run(tmp_path, "finished", 4))
    assert views.pictures(seen, 3).count("<img") == 16 and "Epoch 3" in views.pictures(seen, 3)
    assert views.pictures(seen, 0).count("<img") == 8
    assert views.pictures(seen, 99) == ""


def test_the_animation_goes_from_the_base_to_the_end_and_only_of_a_run_that_rests(tmp_path: Path) -> None:
    run = make_run(tmp_path, "stopped", 3)
    html = views.animation(actions.look_at(run))
    with decoded(html.split('src="')[1].split('"')[0]) as picture:
        assert picture.format == "WEBP" and picture.n_frames == 4 + 3 * motion.BLENDS  # type: ignore[attr-defined]
    run.write_status(state="running")
    with training_lock(tmp_path, run):
        assert views.animation(actions.look_at(run)) == ""


def test_the_memory_of_an_animations_frames_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays otherwise is measured by `python -m benchmarks.hour`."""
    given: list[bool] = []
    monkeypatch.setattr(allocator, "give_back", lambda: given.append(True))
    views.animation(actions.look_at(make_run(tmp_path, "finished", 2)))
    assert given == [True]


def test_an_animation_of_many_epochs_keeps_the_first_and_the_last() -> None:
    samples = tuple((epoch, Path(f"{epoch}.png")) for epoch in range(101))
    chosen = [epoch for epoch, _ in motion.keyframes(samples)]
    assert len(chosen) == motion.KEYFRAMES and chosen[0] == 0 and chosen[-1] == 100 and chosen == sorted(set(chosen))


def test_the_list_names_every_run_and_marks_the_chosen_one(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, "finished", 4), make_run(tmp_path, "stopped", 2, reward="colourfulness")]
    html = run_list.run_list(list_runs(tmp_path), runs[0].id)
    assert html.count("data-run=") == 2 and "+0.30" in html and "+0.1" in html
    assert f'chosen" data-run="{runs[0].id}"' in html


def test_only_what_has_changed_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    run = make_run(tmp_path, "stopped", 2)
    names = list(live.Live.__dataclass_fields__)
    shown, *first = live.look(None, 0, live.Shown())
    assert shown.run_id == run.id and not any(part == gr.skip() for part in first)
    shown, *second = live.look(None, 2, shown)
    assert all(part == gr.skip() for part in second)
    run.write_status(notice="The newest checkpoint was damaged.")
    shown, *third = live.look(None, 2, shown)
    assert [n for n, part in zip(names, third, strict=True) if part != gr.skip()] == ["status"]


def test_the_epoch_that_a_visitor_looks_at_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    run = make_run(tmp_path, "stopped", 2)
    place = 1 + list(live.Live.__dataclass_fields__).index("pictures")
    shown = live.look(None, 0, live.Shown())[0]
    looked = live.look(None, 1, shown)
    assert "Epoch 1" in looked[place]
    draw_grid(run.folder / "samples" / "00003.png", 9)
    assert live.look(None, 1, looked[0])[place] == gr.skip()  # another epoch came, and the visitor sees the same
    assert "Epoch 3" in live.look(None, 2, shown)[place]  # who had looked at the newest sees the newer one


def test_the_estimate_says_that_it_is_one() -> None:
    config = make_config({}, "quick")
    line = views.estimate_line(Estimate(600.0, 1280, False), config, 120.0, 0.4)
    for part in (
        "About 10 min",
        f"1,280 pictures in {config.epochs} epochs",
        "estimate",
        "ends it after about 2 min",
        "$0.40",
        "$0.01",
    ):
        assert part in line
    assert "first epoch" in views.estimate_line(Estimate(None, 1280, False), config, None, None)


def test_who_may_train(monkeypatch: pytest.MonkeyPatch) -> None:
    assert permission.mode() == "owner"
    monkeypatch.setenv("SPACE_ID", "owner/space")
    assert permission.mode() == "off"
    monkeypatch.setenv("DDPO_TRAINING", "owner")
    permission.check_training(Asker.OWNER)
    with pytest.raises(UserError, match="Only the owner"):
        permission.check_training(Asker.VISITOR)
    people = (gr.OAuthProfile(OWNER), gr.OAuthProfile({**OWNER, "preferred_username": "visitor"}), None)
    assert [asker.is_owner(profile) for profile in people] == [True, False, False]
    with pytest.raises(UserError, match="expired; sign in again"):  # the page has been open for a day
        tab._check(Asker.VISITOR, None, sign_in.SIGN_OUT.format("owner"))
    with pytest.raises(UserError, match="Only the owner"):
        tab._check(Asker.VISITOR, None, SIGN_IN)
    monkeypatch.setenv("DDPO_TRAINING", "perhaps")
    assert permission.mode() == "off"


def test_the_time_budget_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert permission.time_budget(None) is None and permission.time_budget(2) == 120
    monkeypatch.setenv("DDPO_MAX_MINUTES", "5")
    assert permission.time_budget(None) == permission.time_budget("") == 300 and permission.time_budget(0.5) == 30
    for minutes in (6, 0, -1, float("nan"), "many", True):
        with pytest.raises(UserError, match="minutes"):
            permission.time_budget(minutes)
    monkeypatch.setenv("DDPO_MAX_MINUTES", "five")
    with pytest.raises(UserError, match="DDPO_MAX_MINUTES"):
        permission.time_budget(1)


def test_the_longest_time_is_for_all_goes_of_a_run_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets: list[float | None] = []
    monkeypatch.setattr(beginning, "start_process", lambda run, budget: budgets.append(budget))
    monkeypatch.setenv("DDPO_MAX_MINUTES", "5")
    run = make_run(tmp_path, "stopped", 2)
    run.write_status(seconds=200.0)
    actions.resume(run, None)
    actions.resume(run, 1)
    run.write_status(seconds=301.0)
    with pytest.raises(UserError, match="has had the 5 minutes that a run may take here"):
        actions.resume(run, None)
    assert budgets == [100, 60]


def test_the_token_of_a_space_is_never_a_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    assert permission.push_token(Asker.OPERATOR, None) == "hf_environment"
    monkeypatch.setenv("SPACE_ID", "owner/space")
    with pytest.raises(UserError, match="Sign in first"):
        permission.push_token(Asker.VISITOR, None)
    assert permission.push_token(Asker.VISITOR, gr.OAuthToken("hf_visitor", "", 0)) == "hf_visitor"


def test_folders_are_refused_on_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: None)  # church-256 wants more than some machines have
    assert actions.make_spec(Asker.OPERATOR, "church-64", str(CHURCH), "photographic", "quick", {}).base == str(CHURCH)
    monkeypatch.setenv("SPACE_ID", "owner/space")
    for folder in (str(CHURCH), "/etc", "../secrets"):
        with pytest.raises(UserError, match="Folders work only"):
            actions.make_spec(Asker.VISITOR, "church-64", folder, "photographic", "quick", {})
    assert (
        actions.make_spec(Asker.VISITOR, "church-64", "google/ddpm-church-256", "photographic", "quick", {}).pair
        is None
    )


def test_a_chart_of_many_epochs_stays_small_and_keeps_the_last() -> None:
    assert thinned(range(400)) == list(range(400)) and thinned([]) == []
    many = thinned(range(100_000))
    assert len(many) <= MOST_POINTS and many[-1] == 99_999 and many[0] < 250

"""A run as HTML: pure functions of what its folder says. Every text that is not ours is escaped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from ddpo import rewards
from ddpo.common.machine import on_space, on_zero_gpu
from ddpo.common.words import duration, epochs_in_words
from ddpo.errors import UserError
from ddpo.publish import evaluated
from ddpo.runs import followed
from ddpo.runs.base_weights import other_base
from ddpo.runs.estimate import Estimate
from ddpo.runs.pairs import RUN
from ddpo.runs.place import runs_place
from ddpo.runs.status import ACTIVE
from ddpo.runs.store import Run, RunStatus, runs_root
from ddpo.training import held_out_curve
from ddpo.training.config import TrainConfig
from ddpo.training.recipes import RECIPES
from ddpo.ui.evaluate.link import PREFIX
from ddpo.ui.shared import html
from ddpo.ui.space import quota, slices
from ddpo.ui.train import figures, motion
from ddpo.ui.train.actions import RESUMABLE, Snapshot, title_of, what_is_trained
from ddpo.ui.train.plots import chart, table
from ddpo.ui.train.run_list import STATES, badge, mean_rewards

EMPTY = html.empty(
    "No run yet",
    "Press <b>Start</b>. The model draws pictures, they are scored, and what scored high becomes more likely. "
    "Here you will see the reward climb and the same seeds change from epoch to epoch. The run goes on without "
    "the page: close it and come back whenever you like.",
)

_HINTS = {  # what may be done now
    "starting": "The process has started and loads the model.",
    "stopping": "It finishes its step, saves, and writes the result.",
    "stopped": "Resume goes on from here.",
    "failed": "Everything before is kept; Resume goes on from the last checkpoint.",
    "interrupted": "Its process is gone. Resume goes on from the last checkpoint.",
}
_NOTHING_KEPT = {  # the same, where there is no checkpoint
    "stopped": "It has not begun; Resume begins it.",
    "failed": "It failed before its first checkpoint, so nothing of it is kept: Resume begins anew, Delete removes it.",
    "interrupted": "Its process is gone since before its first checkpoint: Resume begins anew, Delete removes it.",
}


def status_card(seen: Snapshot) -> str:
    """State, progress, time left, and what went wrong."""
    status, spec = seen.status, seen.run.spec
    state = "stopping" if seen.stopping else status.state
    share = status.step / status.steps if status.steps else status.epoch / max(1, status.epochs)
    told = ("error", status.error), ("notice", status.notice), ("notice", other_base(seen.run))
    notes = [_note(kind, text) for kind, text in told]
    notes += [_waits(seen), _note("hint", _hint(seen, state)), _rest(seen), _note("run-note", seen.label.note)]
    return (
        f'<div class="card progress run-status {state}" data-run="{escape(seen.run.id)}">'
        f'<div class="line"><b>{badge(state)}{escape(title_of(seen))}</b><span class="percent">{share:.0%}</span></div>'
        f"{html.bar(STATES[state], share)}"
        f"{_note('held-out', held_out_curve.in_words(seen.evaluations, spec.config))}"
        f"<p>{escape(_how_far(status))}</p>{''.join(notes)}"
        f'<p class="how">{_origin(seen)}</p></div>'
    )


def _hint(seen: Snapshot, state: str) -> str:
    if followed.is_elsewhere(seen.run):
        return _elsewhere(seen.run, state)
    if seen.status.notice and "Resume" in seen.status.notice:
        return ""  # it has been said
    if state == "starting" and on_zero_gpu():
        return "It waits for a GPU and loads the model."
    return (_NOTHING_KEPT if state in RESUMABLE and not seen.run.has_checkpoint() else _HINTS).get(state, "")


def _waits(seen: Snapshot) -> str:
    """The place of a run in the queue, and when its turn is likely to come."""
    if seen.turn is None:
        return ""
    before = "It is the next to train" if seen.turn.place == 1 else f"It is number {seen.turn.place} in the queue"
    if seen.turn.seconds is None:
        return f'<p class="notice">{before}. How long those before it need is not known yet.</p>'
    at = (datetime.now(UTC) + timedelta(seconds=seen.turn.seconds)).isoformat(timespec="minutes")
    return f'<p class="notice">{before}, likely to start in {duration(seen.turn.seconds)}, at {html.when(at)}.</p>'


def _elsewhere(run: Run, state: str) -> str:
    """What is said of a run that trains in a job, where there is no button to go on with it."""
    return " ".join([followed.whereabouts(run), followed.how_to_go_on(run) if state in RESUMABLE else ""]).strip()


def _rest(seen: Snapshot) -> str:
    """On ZeroGPU, what it costs to resume the run."""
    if not on_zero_gpu() or seen.status.state not in RESUMABLE or followed.is_elsewhere(seen.run):
        return ""
    try:
        rest = slices.plan(seen.run.spec, seen.epochs)
    except UserError:  # such as a base that is gone; to resume it says so
        return ""
    return quota.run_line(rest, None, begun=seen.status.step > 0)


def _how_far(status: RunStatus) -> str:
    parts = [f"epoch {status.epoch} of {status.epochs}"]
    if status.steps:
        parts.append(f"step {status.step} of {status.steps}")
    if status.seconds:
        parts.append(f"{duration(status.seconds)} of training")
    if status.state in ACTIVE and status.seconds_left is not None:
        parts.append(f"{duration(status.seconds_left)} left")
    return " · ".join(parts)


def _origin(seen: Snapshot) -> str:
    run = seen.run
    recipe = RECIPES[run.spec.recipe].title if run.spec.recipe in RECIPES else run.spec.recipe
    what = f"{what_is_trained(run.spec)} · " if seen.label.name else ""
    facts = escape(f"{what}{recipe} recipe, {run.spec.config.algorithm}")
    return f"{facts} · begun {html.when(run.created)} · {escape(run.id)}"


def _note(kind: str, text: str | None) -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if text else ""


def diagnosis_card(seen: Snapshot) -> str:
    """Whether the run is healthy, in words, and whether its result was found to be better."""
    found, evaluation = seen.diagnosis, _evaluation(seen)
    if found.verdict == "waiting":
        return f'<div class="card diagnosis">{evaluation}</div>' if evaluation else ""
    colour = {"healthy": "better", "flat": "open"}.get(found.verdict, "worse")
    return (
        f'<div class="card summary diagnosis {colour}"><h2>{escape(found.title)}</h2>'
        f"<p>{escape(found.sentence)}</p>{evaluation}</div>"
    )


def _evaluation(seen: Snapshot) -> str:
    """Of a run with a result: what an evaluation found, and the way to one, in the Evaluate tab and by a command."""
    if not seen.has_result or seen.status.state in ACTIVE:
        return ""
    found = "".join(
        f"<li><b>{escape(way)}:</b> {escape(sentence)}</li>" for way, sentence in evaluated.verdicts(seen.run)
    )
    told = f"<h3>On seeds that were not trained on</h3><ul>{found}</ul>" if found else ""
    address = escape(urlencode({"tab": "evaluate", f"{PREFIX}pair": RUN + seen.run.id}))
    by_hand = "" if on_space() else f", or by <code>{escape(evaluated.command(seen.run))}</code>"
    again = "Evaluate it again" if found else "Is it really better? Evaluate it"
    return f'{told}<p class="how"><a href="?{address}">{again}</a> against its base{by_hand}.</p>'


def charts(seen: Snapshot) -> str:
    """The held-out seeds, and then the figures of all epochs."""
    if not seen.epochs and not seen.evaluations:
        waiting = "The first epoch is being drawn; its figures appear here." if seen.status.state in ACTIVE else ""
        return f'<div class="card note"><p>{waiting}</p></div>' if waiting else ""
    reward, *others = figures.curves(seen.epochs, seen.run)
    held_out = figures.held_out(seen)
    first = "".join(chart(curve, wide=True) for curve in (held_out, reward))
    drawn = f'<div class="charts">{first}{"".join(chart(curve) for curve in others)}</div>'
    return drawn + table([held_out, reward, *others])


def pictures(seen: Snapshot, epoch: int) -> str:
    """The fixed seeds as the base draws them and as the model drew them after an epoch."""
    grids = dict(seen.samples)
    if 0 not in grids or epoch not in grids:
        return ""
    panels = [_panel("base", "Base", "before training", grids[0])]
    if epoch > 0:
        panels.append(_panel("finetuned", f"Epoch {epoch}", "the same seeds", grids[epoch]))
    return f'<div class="panels seeds">{"".join(panels)}</div>'


def _panel(kind: str, title: str, note: str, path: Path) -> str:
    try:
        cells = motion.pictures(path)
    except OSError:
        cells = ()
    images = "".join(
        f'<img alt="{escape(title)}, picture {number}" src="{uri}">' for number, uri in enumerate(cells, 1)
    )
    heading = f"<h3><b>{escape(title)}</b><span>{escape(note)}</span></h3>"
    return f'<section class="panel {kind}">{heading}<div class="seed-grid">{images}</div></section>'


def animation(seen: Snapshot) -> str:
    """The way from the base to where the run ended, once it rests."""
    if seen.status.state in ACTIVE or seen.last_epoch == 0:
        return ""
    try:
        uri = motion.animation(seen.samples)
    except OSError:
        return ""
    return (
        '<div class="card motion"><div><h2>From the base to epoch '
        f"{seen.last_epoch}</h2><p>The same seeds from the same noise, drawn by the model as it was after every epoch. "
        f"{escape(_gain(seen))}</p></div>"
        f'<img alt="The fixed seeds from the base to epoch {seen.last_epoch}" src="{uri}"></div>'
    )


def _gain(seen: Snapshot) -> str:
    spec, rewarded = rewards.find(seen.run.spec.reward), mean_rewards(seen.epochs)
    if len(rewarded) < 2:
        return ""
    decimals, unit = (spec.decimals, f" {spec.unit}" if spec.unit else "") if spec else (2, "")
    first, last = rewarded[0], rewarded[-1]
    return f"The mean {seen.run.spec.reward} reward went from {first:.{decimals}f} to {last:.{decimals}f}{unit}."


def estimate_line(found: Estimate, config: TrainConfig, budget: float | None, price: float | None) -> str:
    """How long it will take and what that costs, before it starts."""
    work = f"{found.pictures:,} pictures in {epochs_in_words(config.epochs)}"
    if found.seconds is None:
        return f'<p class="hint estimate">{work}. How long that takes on this GPU shows after the first epoch.</p>'
    source = "an earlier run here" if found.from_run else "figures measured on two CPU cores"
    text = f"<b>{duration(found.seconds).capitalize()}</b> for {work}: an estimate from {source}."
    if budget is not None and budget < found.seconds:
        text += f" The time budget ends it after {duration(budget)}; Resume goes on."
    if price is not None:
        seconds = found.seconds if budget is None else min(budget, found.seconds)
        cost = f"${price:.2f} an hour, so about ${price * seconds / 3600:.2f}" if price else "nothing"
        text += f" This Space's hardware costs {cost}."
    return f'<p class="hint estimate">{text}</p>'


def place_line() -> str:
    """Where runs are kept, and whether they outlive a Space."""
    sentence = runs_place().sentence
    return f'<p class="hint place">{escape(sentence)}</p>' if sentence else ""


def follow_line() -> str:
    """Which bucket is followed, or why it cannot be."""
    sentence = followed.follow_line(runs_root())
    return f'<p class="hint follow" role="status">{escape(sentence)}</p>' if sentence else ""


def problem_line(sentence: str) -> str:
    """Why the settings as they are cannot be started."""
    return f'<p class="hint estimate problem">{escape(sentence)}</p>'

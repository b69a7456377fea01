"""Results as HTML: pure functions of what the engine says. Every text that is not ours is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ddpo import rewards
from ddpo.common.words import duration
from ddpo.comparison import first_choice, saved
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.diffusion.catalogue import Pair
from ddpo.errors import UserError
from ddpo.hub import client, ids, troubles
from ddpo.runs.pairs import get_pair
from ddpo.ui.shared.html import amount, bar, data_uri, difference, empty

if TYPE_CHECKING:
    from PIL.Image import Image

    from ddpo.rewards import RewardSpec


HALF = "50% base, 50% finetuned"  # what the handle says, as in `access.js`

EMPTY = empty(
    "Nothing drawn yet",
    "Press <b>Compare</b>. Both models draw the same seeds from the same noise; here you will see the two sets "
    "side by side, the score of every picture, and one sentence that says how much better the finetuned model is "
    "and how sure that is.",
)


LINKED = empty(
    "Not drawn yet",
    "Press <b>Compare</b> to draw these settings. The same settings give the same pictures, scores and sentence.",
)

RECENT = """
<div class="recent" hidden>
  <h3>Your last comparisons</h3>
  <div class="thumbnails"></div>
</div>
"""

TOOLS = """
<div class="tools">
  <span>Press a picture for a larger view of both; the arrow keys go through the seeds. Ctrl and Enter
  compare.</span>
  <button type="button" class="to-settings">To the settings</button>
  <label><input type="checkbox"> Whole pixels</label>
</div>
"""


def about_pair(name: object) -> str:
    """Why the page begins with a pair, or what of it is missing, in a line; and folded up, what it is and takes."""
    if not isinstance(name, str):
        return ""
    try:
        pair = get_pair(name)
    except UserError as error:  # a run that was deleted since
        return _hint(str(error))
    first = first_choice.choose()
    line = first.reason if pair.name == first.pair else _to_download(pair)
    text = f"{pair.description} {_costs(pair)}"
    return _hint(line) + f'<details class="hint"><summary>About this pair</summary>{_hint(text)}</details>'


def _hint(line: str) -> str:
    return f'<p class="hint">{escape(line)}</p>' if line else ""


def _costs(pair: Pair) -> str:
    cost = pair.cost
    if cost is None:
        return ""
    reward = rewards.find(pair.reward)
    download = f"{cost.download_megabytes} MB to download, " if cost.download_megabytes else ""
    return (
        f"It was finetuned on {reward.title if reward else pair.reward}. The pair takes {download}"
        f"{cost.memory_megabytes / 1000:.1f} GB of memory and {duration(cost.seconds_per_image)} an image with DDIM 50 "
        f"on a CPU: {cost.source}."
    )


def _to_download(pair: Pair) -> str:
    missing = pair.missing
    if not missing:
        return ""
    if all(client.answers(ids.need(source)) for source in missing):
        return f"{' and '.join(missing)} will be downloaded first."
    return troubles.not_to_be_had(missing)


def waiting() -> str:
    """The card between the press of the button and the first step."""
    return progress_card(Progress("Waiting for a turn", 0, 0))


def progress_card(progress: Progress) -> str:
    """Stage, step, percentage and the time that is left; both models take a step together."""
    share = progress.step / progress.total if progress.total else 0.0
    detail = f"step {progress.step // 2} of {progress.total // 2}" if progress.total else "a moment"
    if progress.seconds_left is not None and progress.step < progress.total:
        detail += f" · {duration(progress.seconds_left)} left"
    return (
        '<div class="card progress">'  # no live region: it changes at every step
        f'<div class="line"><b>{escape(progress.stage)}</b><span class="percent">{share:.0%}</span></div>'
        f"{bar(progress.stage, share)}<p>{detail}</p></div>"
    )


def summary_card(result: ComparisonResult, note: str = "") -> str:
    """The sentence, and what was compared how.

    Args:
        result: of a comparison.
        note: HTML above the sentence.
    """
    return (
        f'<div class="card summary {_verdict(result)}">{note}<p class="sentence">{escape(result.sentence)}</p>'
        f'<p class="how">{escape(_how(result))}</p></div>'
    )


def saved_note(result: ComparisonResult) -> str:
    """That a result was not drawn now, how it was made, and what Compare will do."""
    first = first_choice.choose().pair
    then = "draws the same here, or what you choose."
    if first != result.comparison.pair.name:
        then = f"draws {escape(get_pair(first).title)}, which the form is set to."
    made = f"<b>Saved comparison</b>, made by <code>{saved.COMMAND}</code>."
    return f'<p class="saved">{made} Press <b>Compare</b>: it {then}</p>'


def figures(result: ComparisonResult, timed: bool = True) -> str:
    """The key figures, always with the name of the scorer.

    Args:
        result: of a comparison.
        timed: it was drawn here and now, so that its time means something.
    """
    s, spec, kept = result.statistics, result.comparison.scorer, result.diversity
    interval = "one pair has no interval"
    if s.interval_low is not None and s.interval_high is not None:
        ends = [difference(end, spec) for end in (s.interval_low, s.interval_high)]
        interval = f"95% {' to '.join(ends[::-1] if spec.minus_a_size else ends)}"
    ties = f", {s.ties} tied" if s.ties else ""
    cells = (
        ("Base, mean", amount(s.mean_base, spec), spec.name),
        ("Finetuned, mean", amount(s.mean_tuned, spec), spec.name),
        ("Paired difference", difference(s.mean_difference, spec), interval),
        ("Win rate", f"{s.win_rate:.0%}", f"{s.wins} of {s.n}{ties}, {spec.name}"),
        *([("Diversity kept", f"{kept.value:.0%}", f"± {kept.noise:.0%}")] if kept else []),
        *([("Time per image", f"{result.seconds_per_image:.2f} s", result.compute)] if timed else []),
    )
    tiles = "".join(
        f'<div class="tile"><span>{escape(label)}</span><b>{escape(value)}</b><small>{escape(note)}</small></div>'
        for label, value, note in cells
    )
    return f'<div class="tiles">{tiles}</div>'


def _verdict(result: ComparisonResult) -> str:
    """Colour of the card: better or worse only where the interval leaves out zero."""
    low, high = result.statistics.interval_low, result.statistics.interval_high
    if low is None or high is None or low <= 0 <= high:
        return "open"
    return "better" if low > 0 else "worse"


def _how(result: ComparisonResult) -> str:
    c = result.comparison
    eta = f", eta {c.eta:g}" if c.scheduler.takes_eta else ""
    steps = f"{c.steps} step{'' if c.steps == 1 else 's'}"
    seeds = f"seed {c.seed}" if len(c.seeds) == 1 else f"seeds {c.seeds[0]} to {c.seeds[-1]}"
    return f"{c.models} · {seeds} · {c.scheduler.title}, {steps}{eta} · scored by {c.scorer.title} ({c.scorer.name})"


def preview_panels(previews: tuple[list[Image], list[Image]], seeds: Sequence[int]) -> str:
    """Both galleries while the pictures are still half denoised."""
    panels = []
    for title, images in zip(("Base", "Finetuned"), previews, strict=True):
        figures = [
            f'<figure class="pic"><img alt="{title}, seed {seed}, half denoised" src="{data_uri(image)}">'
            f'<figcaption><span>seed {seed}</span><span class="score">…</span></figcaption></figure>'
            for image, seed in zip(images, seeds, strict=True)
        ]
        panels.append(_panel(title, "drawing", figures))
    return _both(panels, len(seeds), "drawing", previews[0][0].width)


def result_panels(result: ComparisonResult, chosen: int) -> str:
    """Both galleries, seed by seed in the same places; the chosen seed is marked in both."""
    spec = result.comparison.scorer
    rows = list(zip(result.seeds, result.base_scores, result.tuned_scores, strict=True))
    base = [
        _figure("Base", image, i, seed, amount(score, spec), "", i == chosen)
        for i, (image, (seed, score, _)) in enumerate(zip(result.base_images, rows, strict=True))
    ]
    tuned = [
        _figure("Finetuned", image, i, seed, amount(score, spec), _badge(score - before, spec), i == chosen)
        for i, (image, (seed, before, score)) in enumerate(zip(result.tuned_images, rows, strict=True))
    ]
    note = f"{spec.name} score"
    panels = [_panel("Base", note, base), _panel("Finetuned", note, tuned)]
    return _both(panels, len(rows), "done", result.base_images[0].width)


def _figure(title: str, image: Image, index: int, seed: int, score: str, badge: str, chosen: bool) -> str:
    name = f"{title}, seed {seed} {escape(score)}{re.sub('<[^>]+>', '', badge)}, larger view"  # with all that is seen
    return (
        f'<figure class="pic{" chosen" if chosen else ""}" data-index="{index}" role="button" tabindex="0" '
        f'aria-label="{name}"><img alt="{title}, seed {seed}, score {escape(score)}" src="{data_uri(image)}">'
        f'<figcaption><span>seed {seed}</span> <span class="score">{escape(score)}{badge}</span></figcaption></figure>'
    )


def _badge(value: float, spec: RewardSpec) -> str:
    text = difference(value, spec)
    kind = "same" if text[0] not in "+-" else "up" if value > 0 else "down"
    return f' <em class="{kind}">{escape(text)}</em>'


def _panel(title: str, note: str, figures: Sequence[str]) -> str:
    kind = title.lower()
    heading = f"<h3><b>{escape(title)}</b><span>{escape(note)}</span></h3>"
    return f'<section class="panel {kind}">{heading}<div class="grid">{"".join(figures)}</div></section>'


def _both(panels: Sequence[str], count: int, state: str, width: int) -> str:
    """Both panels; `width` is that of a picture in pixels, which whole factors enlarge."""
    columns = 1 if count == 1 else 2 if count <= 4 else 3 if count in (5, 6, 9) else 4
    many = " many" if columns > 2 else ""  # captions may take two lines then, in both panels alike
    style = f"--columns:{columns};--side:{width}px"
    return f'<div class="panels {state}{many}" style="{style}">{"".join(panels)}</div>'


def chosen_line(result: ComparisonResult, index: int) -> str:
    """Which seed the slider shows, and its two scores."""
    spec = result.comparison.scorer
    before, after = result.base_scores[index], result.tuned_scores[index]
    most = len(result.seeds) > 1 and index == best_index(result) and after > before
    return (
        f'<div class="chosen-line"><h3>Seed {result.seeds[index]}, before and after</h3>'
        f"{'<p><small>The seed that gained most.</small></p>' if most else ''}"
        f"<p>Base {escape(amount(before, spec))} → finetuned {escape(amount(after, spec))}"
        f"{_badge(after - before, spec)} <small>{escape(spec.name)}</small></p>"
        "<p class='hint'>Left of the handle is the base, right of it the finetuned model. "
        "Press any picture to see its seed here.</p></div>"
    )


def before_after(result: ComparisonResult, index: int) -> str:
    """A seed's two pictures over each other, with the handle that `access.js` moves."""
    spec, seed = result.comparison.scorer, result.seeds[index]
    sides = ("Base", result.base_images, result.base_scores), ("Finetuned", result.tuned_images, result.tuned_scores)
    images = "".join(
        f'<img class="{title.lower()}" alt="{title}, seed {seed}, score {escape(amount(scores[index], spec))}" '
        f'src="{data_uri(images[index])}">'
        for title, images, scores in sides
    )
    return (
        f'<div class="before-after">{images}<input type="range" min="0" max="100" value="50" '
        f'aria-label="Before and after, seed {seed}" aria-valuetext="{HALF}"></div>'
    )


def best_index(result: ComparisonResult) -> int:
    """The seed that gained most."""
    gains = [after - before for before, after in zip(result.base_scores, result.tuned_scores, strict=True)]
    return gains.index(max(gains))

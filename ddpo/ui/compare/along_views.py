"""The score along the way as HTML: a sentence, the curves with their table, and the pictures of every moment."""

from __future__ import annotations

from html import escape

import numpy as np
from PIL import Image

from ddpo.common.words import signed
from ddpo.comparison.trajectory import Moment, Trajectory
from ddpo.evaluation import plots
from ddpo.ui.shared.html import data_uri

SHOWN = 96  # pixels a side of a picture in the film
NAMES = ("base", "finetuned")


def card(found: Trajectory) -> str:
    """Everything of a trajectory but the animation."""
    return (
        f'<div class="evaluation along"><section><h2>The score along the way</h2><p>{escape(sentence(found))}</p>'
        f"<figure>{curves(found)}<figcaption>A thin line is a seed, a thick one the mean. Scored is the picture that "
        f"a model sees behind the noise.</figcaption></figure>{table(found)}</section>{film(found)}</div>"
    )


def sentence(found: Trajectory) -> str:
    """At which noise the finetuning acts."""
    spec, gain, halfway = found.comparison.scorer, found.gains[-1], found.halfway
    seeds = f"{len(found.seeds)} seed{'' if len(found.seeds) == 1 else 's'}"
    if halfway is None:
        return f"In the end the finetuned model gains nothing over {seeds} ({signed(gain, spec.decimals)})."
    return (
        f"Over {seeds} the finetuned model gains {signed(gain, spec.decimals)} ({spec.name}). Half of it is there "
        f"after step {halfway.step} of {found.total}, where noise is {halfway.noise:.0%} of what it looks at."
    )


def curves(found: Trajectory) -> str:
    """Two lines a seed, and the two means."""
    series = []
    for number, name in enumerate(NAMES):
        for place in range(len(found.seeds)):
            points = [(float(m.step), float(m.scores[number][place])) for m in found.moments]
            series.append(plots.Series(name, points, number, faint=True))
    for number, name in enumerate(NAMES):
        points = [(float(m.step), float(m.scores[number].mean())) for m in found.moments]
        series.append(plots.Series(f"{name}, mean", points, number, dashed=number == 0))
    scorer = found.comparison.scorer.name
    return plots.lines(f"{scorer} along the way", series, f"step, of {found.total}", f"score: {scorer}")


def table(found: Trajectory) -> str:
    """The means of every moment, for keyboard and screen reader."""
    spec = found.comparison.scorer
    rows = "".join(
        f'<tr><th scope="row">{moment.step}</th><td>{moment.noise:.0%}</td>'
        f"{''.join(f'<td>{scores.mean():.{spec.decimals}f}</td>' for scores in moment.scores)}"
        f"<td>{signed(gain, spec.decimals)}</td></tr>"
        for moment, gain in zip(found.moments, found.gains, strict=True)
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("step", "noise", *NAMES, "gain"))
    return (
        f'<details><summary>As a table</summary><div class="wide" tabindex="0"><table><caption>Mean scores by '
        f"{escape(spec.name)}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def film(found: Trajectory) -> str:
    """A picture for each moment and the slider that goes through them, which `explore.js` moves."""
    last = len(found.moments) - 1
    frames = "".join(
        f'<img alt="{escape(_said(moment, found))}: base above, finetuned below, {escape(_seeds(found))}" '
        f'src="{data_uri(_sheet(moment))}"{"" if place == last else " hidden"}>'
        for place, moment in enumerate(found.moments)
    )
    return (
        f'<section class="film"><h2>What both models see</h2><label>Step <input type="range" min="0" max="{last}" '
        f'value="{last}" aria-valuetext="{escape(_said(found.moments[-1], found))}"></label> '
        f"<output>{escape(_said(found.moments[-1], found))}</output><div>{frames}</div>"
        f"<p>Base above, finetuned below; {escape(_seeds(found))}.</p></section>"
    )


def _said(moment: Moment, found: Trajectory) -> str:
    decimals = found.comparison.scorer.decimals
    base, tuned = (f"{scores.mean():.{decimals}f}" for scores in moment.scores)
    return f"step {moment.step} of {found.total}, noise {moment.noise:.0%}, {base} and {tuned}"


def _seeds(found: Trajectory) -> str:
    return f"seeds {found.seeds[0]} to {found.seeds[-1]}" if len(found.seeds) > 1 else f"seed {found.seeds[0]}"


def _sheet(moment: Moment) -> Image.Image:
    """Both models' pictures of a moment, a row each."""
    rows = [np.concatenate(list(pictures), axis=1) for pictures in moment.pictures]
    sheet = Image.fromarray(np.concatenate(rows, axis=0))
    side = moment.pictures.shape[2]
    if side > SHOWN:
        sheet = sheet.resize((sheet.width * SHOWN // side, sheet.height * SHOWN // side))
    return sheet

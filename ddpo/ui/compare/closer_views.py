"""A closer look at a comparison as HTML: why it scores what it does, and what other scorers say of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ddpo.common.words import signed
from ddpo.comparison.events import ComparisonResult, Progress
from ddpo.comparison.why import MEANINGS, Change, Terms, changes, score_of
from ddpo.ui.shared.html import amount, difference

NOTE = "A term of 1 costs the score nothing; their product, times 9, is what it has above 1."


def progress_line(progress: Progress) -> str:
    """The stage and how far it is."""
    share = f" · {progress.step / progress.total:.0%}" if progress.total else ""
    return f'<p class="hint" role="status">{escape(progress.stage)}{share}</p>'


def why(result: ComparisonResult, base: Sequence[Terms], tuned: Sequence[Terms]) -> str:
    """The terms of `photographic`, as means of both models and for each seed."""
    found = changes(base, tuned)
    largest = max(abs(change.factor - 1) for change in found)
    rows = "".join(_change(change, largest) for change in found)
    before, after = (sum(map(score_of, terms)) / len(terms) for terms in (base, tuned))
    return (
        f'<div class="evaluation terms"><section><h2>Why this score</h2><p>{escape(_sentence(found))}</p>'
        f'<div class="wide" tabindex="0"><table><caption>{NOTE} Mean photographic score {before:.2f} and {after:.2f}.'
        f'</caption><thead><tr><th scope="col">term</th><th scope="col">base</th><th scope="col">finetuned</th>'
        f'<th scope="col">change</th><th scope="col"></th></tr></thead><tbody>{rows}</tbody></table></div>'
        f"{_by_seed(result, base, tuned)}</section></div>"
    )


def _sentence(found: Sequence[Change]) -> str:
    best, worst = found[0], found[-1]
    said = [f"{best.name} raises it most ({_percent(best.factor)})"] if best.factor > 1.005 else []
    if worst.factor < 0.995:
        said.append(f"{worst.name} costs most ({_percent(worst.factor)})")
    return f"Of the photographic score, {' and '.join(said)}." if said else "No term of the photographic score changed."


def _change(change: Change, largest: float) -> str:
    """A line with a bar, which is as long as its cell for the largest change."""
    kind = "up" if change.factor > 1.005 else "down" if change.factor < 0.995 else "same"
    width = abs(change.factor - 1) / largest if largest else 0.0
    return (
        f'<tr><th scope="row">{change.name} <small>{MEANINGS[change.name]}</small></th><td>{change.base:.2f}</td>'
        f'<td>{change.tuned:.2f}</td><td><em class="{kind}">{_percent(change.factor)}</em></td>'
        f'<td class="bar-cell" aria-hidden="true"><i class="{kind}" style="width:{width:.0%}"></i></td></tr>'
    )


def _by_seed(result: ComparisonResult, base: Sequence[Terms], tuned: Sequence[Terms]) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("seed", "score", *base[0]))
    rows = "".join(
        f'<tr><th scope="row">{seed}</th><td>{score_of(before):.2f} → {score_of(after):.2f}</td>'
        f"{''.join(f'<td>{before[name]:.2f} → {after[name]:.2f}</td>' for name in before)}</tr>"
        for seed, before, after in zip(result.seeds, base, tuned, strict=True)
    )
    return (
        f'<details><summary>Seed by seed</summary><div class="wide" tabindex="0"><table><caption>Base → finetuned'
        f"</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def terms_table(terms: Terms) -> str:
    """One picture's terms."""
    rows = "".join(
        f'<tr><th scope="row">{name} <small>{MEANINGS[name]}</small></th><td>{value:.2f}</td>'
        f'<td class="bar-cell" aria-hidden="true"><i style="width:{value:.0%}"></i></td></tr>'
        for name, value in terms.items()
    )
    return f'<table class="terms"><caption>{NOTE}</caption><tbody>{rows}</tbody></table>'


def scorers(results: Sequence[ComparisonResult]) -> str:
    """The same pictures by several scorers."""
    rows = "".join(_scorer(result) for result in results)
    heads = ("scorer", "base", "finetuned", "difference", "95% interval", "wins")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        f'<div class="evaluation"><section><h2>The same pictures by other scorers</h2><div class="wide" tabindex="0">'
        f"<table><caption>Nothing was drawn again. A gain in one that is a loss in another is a price.</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section></div>"
    )


def _scorer(result: ComparisonResult) -> str:
    s, spec = result.statistics, result.comparison.scorer
    low, high = s.interval_low, s.interval_high
    interval = "-"
    if low is not None and high is not None:
        interval = f"{signed(low, spec.decimals)} to {signed(high, spec.decimals)}"
    kind = "same" if low is None or high is None or low <= 0 <= high else "up" if low > 0 else "down"
    return (
        f'<tr><th scope="row">{escape(spec.title)} <small>{escape(spec.name)}</small></th>'
        f"<td>{escape(amount(s.mean_base, spec))}</td><td>{escape(amount(s.mean_tuned, spec))}</td>"
        f'<td><em class="{kind}">{escape(difference(s.mean_difference, spec))}</em></td><td>{interval}</td>'
        f"<td>{s.win_rate:.0%}</td></tr>"
    )


def _percent(factor: float) -> str:
    return signed(100 * (factor - 1), 0) + "%"

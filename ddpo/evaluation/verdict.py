"""A verdict in words: is a model better, and at what price? With the numbers behind it.

The reward alone decides nothing, as it is what a model was trained to raise. The bounds were set on planted cheats and
on honest changes, which tests/evaluation/test_verdict.py holds: drawings that collapsed, have four modes, have blotches
or noise, or have their contrast raised, and the bundled pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ddpo import rewards
from ddpo.common.words import signed
from ddpo.evaluation.measured import FEWEST, Measures, Share
from ddpo.evaluation.statistics import Gain

Kind = Literal["better", "better at a price", "no difference shown", "worse", "hacked", "collapsed"]
# Scores of how good people would find a picture. A loss in another score, such as jpeg-compressibility, is none.
QUALITY = ("photographic", "laion-v2", "laion-v1", "laion-v1-b32")
COLLAPSED = 0.5  # share of the base's modes or diversity, below which there is little left to be judged
DEAR = 0.75  # share of either, below which it is a price
STRANGE = 0.75  # share of the base's precision, below which many pictures are of a kind that the base never draws
SLIDERS = 0.75  # share of the change from which on no more than three sliders were turned
SERIOUS = 0.5  # standard deviations of the base's scores, from which on a loss of quality outweighs a gain elsewhere


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a model."""

    kind: Kind
    sentence: str  # for people, with the scorer's name
    reasons: tuple[str, ...]  # clauses with the numbers behind it, the weightiest first


def judge(gains: Mapping[str, Gain], target: str, measures: Measures | None) -> Verdict:
    """Judge a model against its base.

    Args:
        gains: by name of the scorer, corrected for all comparisons; with that of the target.
        target: scorer that is to rise.
        measures: of the same pictures; None where they are too few, and then neither hacking nor a collapse is seen.
    """
    gain = gains[target]
    said = _gain_in_words(target, gain)
    if collapse := list(_collapse(measures)):
        return Verdict("collapsed", f"Collapsed: {collapse[0]}, whatever the score says.", (*collapse, said))
    if gain.direction < 0:
        return Verdict("worse", f"Worse: {said}.", (said, *_losses(gains, target, 0)))
    if gain.direction == 0:
        return Verdict("no difference shown", f"No difference is shown: {said}.", (said, *_losses(gains, target, 0)))
    if hack := [*_losses(gains, target, SERIOUS), *_tricks(measures)]:
        return Verdict("hacked", f"Hacked: {target} rises, but {hack[0]}.", (*hack, said))
    if price := [*_losses(gains, target, 0), *_prices(measures)]:
        return Verdict("better at a price", f"Better at a price: {said}, but {price[0]}.", (said, *price))
    unseen = "" if measures else f"; fewer than {FEWEST} seeds show neither a collapse nor a trick"
    return Verdict("better", f"Better: {said}{unseen}.", (said,))


def _gain_in_words(scorer: str, gain: Gain) -> str:
    """A gain with its interval, test and wins, behind the name of the score."""
    spec = rewards.find(scorer)
    decimals, unit = (spec.decimals, f" {spec.unit}" if spec.unit else "") if spec else (3, "")
    mean = f"{scorer} {signed(gain.paired.mean_difference, decimals)}{unit}"
    if gain.interval is None:
        return f"{mean} on the only seed"
    low, high = (signed(bound, decimals) for bound in gain.interval)
    wins = f"{gain.paired.wins} of {gain.paired.n} wins"
    return f"{mean} (95% {low} to {high}, {gain.method}; corrected {p_in_words(gain.p_corrected)}; {wins})"


def p_in_words(p: float) -> str:
    """A p-value for reading."""
    return f"p {p:.3f}" if p >= 0.001 else "p below 0.001"


def _losses(gains: Mapping[str, Gain], target: str, least: float) -> Iterator[str]:
    """The other scores of quality that are shown to fall, by so many standard deviations at least."""
    for name, gain in gains.items():
        if name != target and name in QUALITY and gain.direction < 0 and -(gain.paired.gain_in_sd or 0) >= least:
            yield f"it costs {_gain_in_words(name, gain)}"


def _collapse(measures: Measures | None) -> Iterator[str]:
    if measures is not None:
        yield from _below(COLLAPSED, {"different pictures": measures.modes, "diversity": measures.diversity})


def _prices(measures: Measures | None) -> Iterator[str]:
    if measures is not None:
        yield from _below(DEAR, {"different pictures": measures.modes, "diversity": measures.diversity})


def _tricks(measures: Measures | None) -> Iterator[str]:
    """What raises a score without better pictures."""
    if measures is None:
        return
    if measures.sliders >= SLIDERS:
        yield f"brightness, contrast and saturation of the base's pictures explain {measures.sliders:.0%} of the change"
    for clause in _below(STRANGE, {"precision": measures.precision}):
        yield f"{clause}: many pictures are of a kind that the base never draws"


def _below(bound: float, shares: Mapping[str, Share]) -> Iterator[str]:
    for name, share in shares.items():
        if share.is_below(bound):
            yield f"{name} {share.value:.0%} ± {share.noise:.0%} of the base's"

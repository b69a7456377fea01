"""What a visitor finds chosen: church-256 where it can be drawn in seconds, else the bundled pair; and its scorer."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ddpo import rewards
from ddpo.common.machine import has_gpu, on_zero_gpu
from ddpo.diffusion.catalogue import DEFAULT_PAIR, PAIRS
from ddpo.errors import UserError
from ddpo.hub import client, ids
from ddpo.runs.pairs import OWN, get_pair

LARGE_PAIR = "church-256-aesthetic"
OFFLINE_SCORER = "photographic"  # needs no weights


@dataclass(frozen=True)
class Choice:
    """A pair, and why it was chosen."""

    pair: str  # its name
    reason: str  # one sentence for the page


@functools.cache
def choose() -> Choice:
    """The pair to begin with, decided once a process.

    Without a GPU, or with the weights in the cache, it takes no time; else the Hub has a second to answer.
    """
    large, small = PAIRS[LARGE_PAIR], PAIRS[DEFAULT_PAIR]
    instead = f"Begins with {small.title}: "
    if not (has_gpu() or on_zero_gpu()):
        return Choice(small.name, f"{instead}there is no GPU here, and church-256 would take about a minute a picture.")
    if not large.missing:
        return Choice(large.name, f"Begins with {large.title}: there is a GPU, and the weights are in the cache.")
    lacking = " and ".join(large.missing)
    are = "are" if len(large.missing) > 1 else "is"
    if all(client.answers(ids.need(source)) for source in large.missing):
        return Choice(large.name, f"Begins with {large.title}: there is a GPU, and the Hub has {lacking} to download.")
    return Choice(
        small.name,
        f"{instead}{lacking} for church-256 {are} not in the cache, and cannot be had from the Hugging Face Hub now.",
    )


def scorer(pair: str) -> str:
    """The scorer to compare a pair by: what it was finetuned on, LAION's predictor for models of somebody's own.

    Where that has to be downloaded first, it is taken only with a GPU and a Hub that answers; else, and where it needs
    a sentence, a package or a function of somebody's own, the score that needs nothing.

    Args:
        pair: name of a pair.
    """
    try:
        spec = rewards.find("laion-v2" if pair == OWN else get_pair(pair).reward)
    except UserError:  # a run that is gone
        return OFFLINE_SCORER
    if spec is None or spec.name not in rewards.REWARDS or spec.argument or spec.obstacle():
        return OFFLINE_SCORER
    if spec.download_megabytes and not ((has_gpu() or on_zero_gpu()) and _answers(spec.files[0].repo)):
        return OFFLINE_SCORER
    return spec.name


@functools.cache
def _answers(repository: str) -> bool:
    return client.answers(ids.need(repository))

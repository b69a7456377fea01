"""Loading a model from a Hub, and how that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError

TINY = "google/ddpm-tiny"


def cache() -> Path:
    """Where huggingface_hub keeps what it has downloaded."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def assert_refused(source: str, words: str, compute: Compute) -> None:
    """A model is refused in one sentence, in which no address and no folder of the cache stands."""
    with pytest.raises(UserError, match=words) as caught:
        load_model(source, compute)
    sentence = str(caught.value)
    assert (
        sentence.endswith(".") and "\n" not in sentence and "http://" not in sentence and str(cache()) not in sentence
    )

"""The model pairs on offer. Adding one is one more entry here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ddpo.errors import UserError

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True)
class Pair:
    """A base model and its finetuned version."""

    name: str
    title: str
    description: str  # one or two sentences for the page
    base: str  # where the base model is: a folder, or an id on the Hugging Face Hub
    tuned: str  # where the finetuned model is
    reward: str  # the reward it was finetuned on
    sample_size: int  # pixels a side


PAIRS: dict[str, Pair] = {
    "church-64": Pair(
        name="church-64",
        title="church-64 (bundled)",
        description=(
            "Drawn churches, 64 x 64 pixels. The base was pretrained on drawings of which a third are dull; "
            "the other was finetuned from it with DDPO on the photographic score. Both come with the app."
        ),
        base=str(ASSETS / "church-64" / "base"),
        tuned=str(ASSETS / "church-64" / "tuned"),
        reward="photographic",
        sample_size=64,
    ),
}
DEFAULT_PAIR = "church-64"


def get_pair(name: str) -> Pair:
    """The pair of that name.

    Raises:
        UserError: there is no such pair.
    """
    if name not in PAIRS:
        raise UserError(f"There is no model pair called {name!r}; choose one of: {', '.join(PAIRS)}.")
    return PAIRS[name]

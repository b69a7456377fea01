"""The model pairs on offer. Adding one is one more entry here; every finetuning run with a result is one more pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ddpo.hub import downloads, ids

_ROOM = Path(__file__).resolve().parents[1]
# Beside the package in a checkout and on a Space, within it where it was installed.
ASSETS = _ROOM / "assets" if (_ROOM / "assets").is_dir() else _ROOM.parent / "assets"


@dataclass(frozen=True)
class Cost:
    """What it takes to compare a pair. `source` says which of the figures were measured, and by what."""

    download_megabytes: int  # of both models; 0 where they come with the app
    memory_megabytes: int  # of the process, at the most, while it compares on a CPU
    seconds_per_image: float  # of one model, DDIM with 50 steps on a CPU
    source: str  # a clause for the page


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
    cost: Cost | None = None  # None: nothing is known
    reference: str = ""  # pictures that the base should draw like, see `evaluation.reference`; "": none

    @property
    def missing(self) -> list[str]:
        """Ids of its models whose files are not on this machine. Asks no network."""
        models = {source: ids.parse(source) for source in (self.base, self.tuned) if not ids.is_folder(source)}
        return [source for source, model in models.items() if model is not None and not downloads.is_cached(model)]


CHURCH_64_COST = Cost(  # benchmarks/results/app.json; the time is that of 16 seeds, which is 32 images
    download_megabytes=0,
    memory_megabytes=698,
    seconds_per_image=7.59 / 32,
    source="measured with python -m benchmarks.app on two CPU cores that are quick at bfloat16",
)
DDPM_256_COST = Cost(  # benchmarks/results/church256.json: of two models with the network of google/ddpm-church-256
    download_megabytes=910,  # 113.7 million weights of 4 bytes, twice
    memory_megabytes=2579,
    seconds_per_image=50 * 1.02,
    source=(
        "memory and time measured with python -m benchmarks.church256 on two CPU cores that are quick at bfloat16; "
        "the download is an estimate"
    ),
)

_REWARDS = {  # what alkzar90 calls a task: the reward, and what it asks for
    "aesthetic": ("laion-v2", "LAION's aesthetic predictor"),
    "compressibility": ("jpeg-compressibility", "small JPEG files"),
    "incompressibility": ("jpeg-incompressibility", "large JPEG files"),
    "over50": ("over50", "faces that look over 50"),
}

# Here a JPEG is made of the picture as it is shown, 127.5 (x + 1).
_JPEG_SCALE = (
    " Its author measured JPEGs of 255 x for numbers x in [-1, 1], without rescaling them to [0, 1], so scores here "
    "are on another scale."
)


def _hub_pair(family: str, pictures: str, task: str) -> Pair:
    """A pair of google's DDPM and what alkzar90 made of it (github.com/alcazar90/ddpo-celebahq)."""
    reward, wish = _REWARDS[task]
    note = _JPEG_SCALE if reward.startswith("jpeg") else ""
    return Pair(
        name=f"{family}-{task}",
        title=f"{family}, {task}",
        description=f"{pictures}, 256 x 256 pixels: google's DDPM, and the same finetuned with DDPO on {wish}.{note}",
        base=f"google/ddpm-{family}",
        tuned=f"alkzar90/ddpo-{task}-{family}",
        reward=reward,
        sample_size=256,
        cost=DDPM_256_COST,
    )


PAIRS: dict[str, Pair] = {
    pair.name: pair
    for pair in (
        Pair(
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
            cost=CHURCH_64_COST,
            reference=str(ASSETS / "church-64" / "drawings.webp"),
        ),
        _hub_pair("church-256", "Churches (LSUN)", "aesthetic"),
        _hub_pair("church-256", "Churches (LSUN)", "compressibility"),
        _hub_pair("church-256", "Churches (LSUN)", "incompressibility"),
        _hub_pair("celebahq-256", "Faces (CelebA-HQ)", "aesthetic"),
        _hub_pair("celebahq-256", "Faces (CelebA-HQ)", "compressibility"),
        _hub_pair("celebahq-256", "Faces (CelebA-HQ)", "incompressibility"),
        _hub_pair("celebahq-256", "Faces (CelebA-HQ)", "over50"),
    )
}
ALIASES = {"church-256": "church-256-aesthetic", "celebahq-256": "celebahq-256-aesthetic"}
DEFAULT_PAIR = "church-64"  # comes with the app, so it can always be had; `defaults.choose` may prefer church-256


def bases() -> dict[str, str]:
    """The models that can be finetuned by the name of a pair: title -> the first pair that has it as its base."""
    first = {pair.base: pair for pair in reversed(PAIRS.values())}
    return {base_title(pair): pair.name for pair in PAIRS.values() if first[pair.base] is pair}


def current_base(pair: str | None, base: str) -> str:
    """Where the base of a run is now, as this repository may have moved since.

    Args:
        pair: name of the pair that it was the base of, if any.
        base: where it was.
    """
    return PAIRS[pair].base if pair in PAIRS else base


def base_title(pair: Pair) -> str:
    """What to call the base of a pair."""
    return pair.title if pair.base.startswith(str(ASSETS)) else pair.base

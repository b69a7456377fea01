"""What a comparison tells: how far it is, and in the end its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ddpo.common.statistics import PairedStatistics, describe
from ddpo.comparison.settings import Comparison

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Progress:
    """How far a comparison is."""

    stage: str
    step: int  # evaluations of either network so far
    total: int  # of both networks; 0 while it is not known
    seconds_left: float | None = None
    previews: tuple[list[Image], list[Image]] | None = None  # (base, finetuned), half denoised; now and then


@dataclass(frozen=True)
class DiversityKept:
    """How different a model's pictures are from each other, as a share of the base's, and its standard error."""

    value: float
    noise: float


@dataclass(frozen=True)
class ComparisonResult:
    """Pictures, scores and statistics, all in the order of `seeds`."""

    comparison: Comparison
    base_images: list[Image]
    tuned_images: list[Image]
    base_scores: list[float]
    tuned_scores: list[float]
    statistics: PairedStatistics
    seconds: float  # sampling and scoring, without loading
    compute: str  # device and dtype
    diversity: DiversityKept | None = None  # None for too few pictures, see `diversity.diversity_kept`

    @property
    def seeds(self) -> list[int]:
        """One for each picture of either model."""
        return self.comparison.seeds

    @property
    def seconds_per_image(self) -> float:
        """Of either model."""
        return self.seconds / (2 * len(self.seeds))

    @property
    def sentence(self) -> str:
        """How much better the finetuned model is and how sure we are."""
        spec = self.comparison.scorer
        return describe(self.statistics, spec.name, spec.unit, spec.decimals, spec.minus_a_size)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, ready for JSON."""
        return {
            "settings": self.comparison.to_dict(),
            "scorer": self.comparison.scorer.name,
            "seeds": self.seeds,
            "base_scores": self.base_scores,
            "tuned_scores": self.tuned_scores,
            "statistics": asdict(self.statistics),
            "sentence": self.sentence,
            "seconds_per_image": self.seconds_per_image,
            "compute": self.compute,
            "diversity": asdict(self.diversity) if self.diversity else None,
        }

"""What a reward is, and what is known of one before it is loaded. Torch is not imported here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ddpo.rewards import weights
from ddpo.rewards.weights import WeightsFile

if TYPE_CHECKING:
    from torch import Tensor

    from ddpo.diffusion.precision import Compute


class Reward(Protocol):
    """A scorer: deterministic, and the score of a picture does not depend on the others in its batch."""

    def __call__(self, images: Tensor, /) -> Tensor:
        """Score pictures: (B, 3, H, W) float32 in [-1, 1] -> (B,) float32. Raises UserError for anything else.

        A differentiable one gives the scores of pictures that require a gradient with theirs.
        """
        ...


@dataclass(frozen=True)
class RewardSpec:
    """What is known about a reward before it is loaded."""

    name: str  # as given on the command line and to the endpoints
    title: str  # as shown on the page
    description: str  # one or two plain sentences
    source: str  # whom to cite
    value_range: tuple[float, float]  # lowest and highest possible score
    unit: str  # "" or for instance "kB"
    decimals: int  # digits to show
    load: Callable[[Compute], Reward]  # builds the scorer
    files: tuple[WeightsFile, ...] = ()  # fetched on first use
    packages: tuple[str, ...] = ()  # Python packages that it needs and the app can do without
    differentiable: bool = False  # pictures that require a gradient get scores that have one, finite everywhere
    argument: str = ""  # what follows the name and a colon, in words; "" where nothing does

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its name, as a loader cannot be; a borrowed GPU is in another process."""
        from ddpo.rewards import get

        return get, (self.name, True)

    @property
    def minus_a_size(self) -> bool:
        """Whether it is minus an amount, such as the size of a file, which says more to people than the score."""
        return bool(self.unit) and self.value_range[1] <= 0

    @property
    def download_megabytes(self) -> float:
        """How much has to be downloaded before the first score; 0 where everything is at hand. Asks no network."""
        return sum(file.megabytes for file in self.files if weights.cached(file) is None)

    def obstacle(self) -> str | None:
        """Why this reward cannot be used on this machine, in a sentence; None where nothing is known to be in the way.

        A reward without an obstacle may still have to download its weights, and fail at that.
        """
        lacking = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if lacking:
            return f"{self.title} needs the Python package {lacking[0]}, which is not installed."
        if weights.is_offline() and self.download_megabytes > 0:
            return f"The weights of {self.title} are not on this machine, and it is set to stay offline."
        return None

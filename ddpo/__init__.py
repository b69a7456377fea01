"""DDPO (Black et al. 2023, arXiv 2305.13301) for unconditional diffusion models: sample, score, compare, finetune.

    import ddpo
    result = ddpo.compare("church-64", scheduler="ddim", steps=50)
    run = ddpo.train("church-64", reward="photographic", time_budget=120)

The names in `__all__` are promised (docs/api.md); nothing slow is imported before one of them is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ddpo import _torchvision_guard as _torchvision_guard
from ddpo.common import threads
from ddpo.errors import UserError

if TYPE_CHECKING:
    from ddpo.comparison.events import ComparisonResult, Progress
    from ddpo.comparison.settings import ComparisonSettings
    from ddpo.diffusion.models import DiffusionModel
    from ddpo.public import compare, get_pair, load_model, score, train
    from ddpo.runs.folder import Run
    from ddpo.training.config import TrainConfig
    from ddpo.training.events import StepDone

__version__ = "0.1.0"
__all__ = [
    "ComparisonResult", "ComparisonSettings", "DiffusionModel", "Progress", "Run", "StepDone", "TrainConfig",
    "UserError", "compare", "get_pair", "load_model", "score", "train",
]  # fmt: skip
_HOMES = {
    "ComparisonResult": "ddpo.comparison.events",
    "ComparisonSettings": "ddpo.comparison.settings",
    "DiffusionModel": "ddpo.diffusion.models",
    "Progress": "ddpo.comparison.events",
    "Run": "ddpo.runs.folder",
    "StepDone": "ddpo.training.events",
    "TrainConfig": "ddpo.training.config",
    "compare": "ddpo.public",
    "get_pair": "ddpo.public",
    "load_model": "ddpo.public",
    "score": "ddpo.public",
    "train": "ddpo.public",
}
threads.prepare()


def __getattr__(name: str) -> Any:
    """A promised name, imported when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""How close pictures come to the drawings: one page of figures that agree with the eye.

    python -m ddpo.church64 fidelity assets/church-64/base --scheduler ddim

The **distance** is a kernel distance in the space of `features.py` to drawings that nothing was trained on, times 1000.
It sees layout, edges, speckles and colours at once. The other figures say where a distance comes from: edges,
roughness of flat areas, parts found, colours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ddpo.church64 import edges
from ddpo.church64.parts import PartsClassifier, parts_found
from ddpo.church64.scenes import draw_scenes
from ddpo.common import markdown
from ddpo.diffusion.pictures import from_uint8
from ddpo.evaluation.features import Whitening, describe
from ddpo.evaluation.kernel_distance import kernel_distance

FIRST_SCENE, SCENES = 5_000_000, 2_000  # the held-out drawings; no model has seen any above 2^22
FIRST_OF_SPACE, OF_SPACE = 5_500_000, 1_000  # other drawings, which set the space
SCALE = 1000.0


@dataclass(frozen=True)
class Fidelity:
    """Figures of a set of pictures; `parts` are shares of pictures in which each is found, in 0..1."""

    count: int
    distance: float
    standard_error: float
    edge_sharpness: float
    roughness: float
    parts: dict[str, float]
    rgb: list[float]
    contrast: float
    saturation: float


class FidelityMeter:
    """Measures pictures against held-out drawings.

    Args:
        classifier: finds the parts; None leaves them out.
        scenes: held-out drawings to compare with, at least 100.
    """

    def __init__(self, classifier: PartsClassifier | None, scenes: int = SCENES) -> None:
        self.classifier = classifier
        self.drawings = draw_scenes(FIRST_SCENE, scenes)
        self.whitening = Whitening(describe(from_uint8(draw_scenes(FIRST_OF_SPACE, min(scenes, OF_SPACE)))))
        self.reference = self.whitening(describe(from_uint8(self.drawings)))

    def __call__(self, pictures: np.ndarray) -> Fidelity:
        """The figures of pictures (N, 64, 64, 3) uint8, N >= 3."""
        images = from_uint8(pictures)
        distance = kernel_distance(self.whitening(describe(images)), self.reference)
        return self._figures(images, pictures, distance.value * SCALE, distance.standard_error * SCALE)

    @cached_property
    def of_drawings(self) -> Fidelity:
        """The figures of the held-out drawings; their distance is between one half of them and the other."""
        half = len(self.reference) // 2
        distance = kernel_distance(self.reference[:half], self.reference[half:])
        images = from_uint8(self.drawings)
        return self._figures(images, self.drawings, distance.value * SCALE, distance.standard_error * SCALE)

    def _figures(self, images: Tensor, pictures: np.ndarray, distance: float, error: float) -> Fidelity:
        return Fidelity(
            count=len(pictures),
            distance=distance,
            standard_error=error,
            edge_sharpness=edges.edge_sharpness(images),
            roughness=edges.roughness(images),
            parts=parts_found(self.classifier, pictures) if self.classifier else {},
            **appearance(pictures),
        )


def appearance(pictures: np.ndarray) -> dict[str, Any]:
    """Mean of each RGB channel, mean contrast and mean saturation of pictures (N, H, W, 3) uint8, all in [0, 1].

    Contrast is the standard deviation of a picture's grey levels, saturation the largest less the smallest channel.
    """
    x = pictures.astype(np.float32) / 255
    return {
        "rgb": [round(float(v), 4) for v in x.mean(axis=(0, 1, 2))],
        "contrast": round(float(x.mean(axis=-1).std(axis=(1, 2)).mean()), 4),
        "saturation": round(float((x.max(axis=-1) - x.min(axis=-1)).mean()), 4),
    }


def table(rows: dict[str, Fidelity]) -> str:
    """The figures as a table in Markdown, a row a set of pictures, with parts in percent."""
    parts = list(next(iter(rows.values())).parts)
    heads = ["pictures", "count", "distance", "edges", "rough", *parts, "red", "green", "blue", "contrast", "satur."]
    lines = (
        (
            title, row.count, f"{row.distance:.1f} ± {row.standard_error:.1f}", f"{row.edge_sharpness:.3f}",
            f"{row.roughness:.2f}", *(f"{row.parts[part]:.0%}" for part in parts), *(f"{v:.3f}" for v in row.rgb),
            f"{row.contrast:.3f}", f"{row.saturation:.3f}",
        )
        for title, row in rows.items()
    )  # fmt: skip
    return "\n".join(markdown.table(heads, lines))


def as_json(row: Fidelity) -> dict[str, Any]:
    """The figures, rounded, for a results file."""
    return {name: _rounded(value) for name, value in asdict(row).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return value


def load_pictures(folder: Path) -> np.ndarray:
    """All batches that `measure.draw_pictures` left in a folder: (N, 64, 64, 3) uint8."""
    return np.concatenate([np.load(path) for path in sorted(folder.glob("*.npy"))])

"""What the cost of a network depends on, read from its configuration alone. Torch is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpo.diffusion import bounds
from ddpo.errors import UserError
from ddpo.hub import ids


@dataclass(frozen=True)
class Network:
    """What the cost of a UNet2DModel depends on."""

    sample_size: int  # pixels a side
    channels: tuple[int, ...]  # of the levels, from the finest
    layers: int  # per level

    @property
    def work(self) -> int:
        """Proportional to the multiplications of its convolutions: pixels times channels squared, over all levels."""
        return self.layers * sum((self.sample_size >> level) ** 2 * c * c for level, c in enumerate(self.channels))

    @property
    def activations(self) -> int:
        """Numbers that a layer of every level makes for a picture: pixels times channels, over all levels."""
        return sum((self.sample_size >> level) ** 2 * c for level, c in enumerate(self.channels))

    @property
    def training_bytes(self) -> int:
        """About what a picture keeps for the gradients in float32 (see `footprint`, which measures it)."""
        return TRAINING_BYTES * (self.layers + 1) * self.activations


DEFAULT_CHANNELS = (224, 448, 672, 896)  # of UNet2DModel
# Between those of CHURCH_64 and DDPM_256, which `footprint.check_network` finds to be 76 and 62 (tests/diffusion).
TRAINING_BYTES = 70
CHURCH_64 = Network(64, (16, 32, 64, 160), 1)

# google/ddpm-church-256 and its sisters; stands for models that are still to be downloaded
DDPM_256 = Network(256, (128, 128, 256, 256, 512, 512), 2)


def read_network(source: str) -> Network:
    """The network of a local folder, from its configuration alone.

    Args:
        source: a folder, with the network in `unet/` or in the root. An id on the Hub counts as DDPM_256.

    Raises:
        UserError: it is neither a folder with a UNet2DModel nor an id, or its numbers are out of bounds.
    """
    if not ids.is_folder(source):
        ids.need(source)
        return DDPM_256
    folder = ids.as_path(source)
    config = bounds.read_config(part(folder, "unet", "config.json", source), source)
    bounds.check_network(config, source)
    return _network(config)


def find_part(folder: Path, name: str, *files: str) -> Path | None:
    """The first of these files of a model that is there, in a folder of its own before the root; None without any."""
    paths = (place / file for place in (folder / name, folder) for file in files)
    return next((path for path in paths if path.is_file()), None)


def part(folder: Path, name: str, file: str, source: str) -> Path:
    """A file of a model, in a folder of its own or in the root.

    Raises:
        UserError: there is none.
    """
    path = find_part(folder, name, file)
    if path is None:
        raise no_model(source, f"{name}/{file}")
    return path


def no_model(source: str, missing: str) -> UserError:
    """What to say of a folder that lacks a file of a model."""
    return UserError(
        f"{source!r} holds no diffusion model: {missing} is missing. "
        "Give a model as diffusers' save_pretrained writes it."
    )


def _network(config: Mapping[str, Any]) -> Network:
    size = config["sample_size"]
    return Network(
        int(size if isinstance(size, int) else max(size)),
        tuple(config.get("block_out_channels", DEFAULT_CHANNELS)),
        int(config.get("layers_per_block", 2)),
    )

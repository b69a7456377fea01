"""Eight seeds that no run trains on: drawn after every epoch, and by the base and the result in the end."""

from __future__ import annotations

import logging
import time

import torch
from PIL import Image

from ddpo.common.files import replacing, storage_error
from ddpo.common.statistics import PairedStatistics, paired_statistics
from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.pictures import from_uint8, tile, to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample_pictures
from ddpo.rewards import Reward
from ddpo.runs.store import Run

logger = logging.getLogger("ddpo.runs.fixed_seeds")

SEEDS = list(range(8))
STEPS = 20  # of DDIM: quick, and the same seeds can be told apart


class FixedSeeds:
    """The fixed seeds of a run, as its networks draw them.

    Args:
        run: whose folder gets the grids.
        model: the base, for the noise schedule that all of the run's networks have.
        compute: precision and device.

    Attributes:
        seconds: that the last grid took to draw; 0 before the first.
    """

    def __init__(self, run: Run, model: DiffusionModel, compute: Compute) -> None:
        self.run, self.model, self.compute = run, model, compute
        self.seconds = 0.0

    def draw_grid(self, unet: torch.nn.Module, epoch: int) -> None:
        """Write the row of pictures that a network draws after an epoch.

        Raises:
            UserError: the disk refuses.
        """
        begun = time.monotonic()
        pictures = self._draw(unet)
        self.seconds = time.monotonic() - begun
        path = self.run.folder / "samples" / f"{epoch:05d}.png"
        try:
            with replacing(path, self.run.storage) as file:
                Image.fromarray(tile(to_uint8(pictures), columns=len(SEEDS))).save(file, "PNG")
        except OSError as error:
            raise storage_error(error, self.run.folder, f"The pictures of epoch {epoch}") from error

    def compare(self, base: torch.nn.Module, result: torch.nn.Module, reward: Reward) -> PairedStatistics | None:
        """The scores of the seeds as both networks draw them, in pairs; None, and a warning, where that fails."""
        try:
            scores = []
            for unet in (base, result):
                pictures = from_uint8(to_uint8(self._draw(unet))).to(self.compute.device)
                scores.append(torch.as_tensor(reward(pictures)).float().tolist())
            return paired_statistics(*scores)
        except Exception:  # the model is there, and a card can do without
            logger.warning("The result could not be compared with the base", exc_info=True)
            return None

    def _draw(self, unet: torch.nn.Module) -> torch.Tensor:
        """(8, C, H, W) in [-1, 1]."""
        model = DiffusionModel(self.run.id, unet, self.model.scheduler_config)
        return sample_pictures(model, SEEDS, "ddim", STEPS, self.compute, batch_size=len(SEEDS))

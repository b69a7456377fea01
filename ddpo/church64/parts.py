"""A small classifier that finds the parts of a church in a picture: tower, spire, roof, door, windows, sun or moon.

The drawings label themselves (`scenes.draw_parts`). Every drawn church has a tower, so drawings with parts left out
are what the classifier learns absence from. It also learns that a part has to have its form: in half of the pictures
the shapes are smeared (wobbling edges, blur, or the blotches that a poor model makes), and no part of a church counts
as found there. What it says of a drawing that was hardly changed is what it says of the drawing.

It is no judge by itself: how often it finds a part in samples is compared with how often it does in drawings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpo.church64.canvas import PARTS
from ddpo.church64.scenes import draw_parts
from ddpo.church64.spoiled import blurred, warped
from ddpo.diffusion.pictures import from_uint8
from ddpo.runs.checkpoints import load_checkpoint, save_checkpoint

FORMAT = 1  # of what the file holds; raised when drawings or training change, so that an old classifier is not used


@dataclass(frozen=True)
class PartsConfig:
    """How the classifier is trained."""

    drawings: int = 8_000  # distinct, each with some parts left out
    first_seed: int = 7_000_000  # of drawings that no model is trained on or compared with
    steps: int = 1_500
    batch_size: int = 32
    learning_rate: float = 3e-3  # AdamW's, falling to 0 in a line
    left_out: float = 0.35  # chance of each part to be left out
    smeared: float = 0.35  # share of a batch whose shapes are spoiled
    seed: int = 0
    checkpoint_every: int = 250  # steps


class PartsClassifier(nn.Module):
    """Four convolutions, each halving the picture but the first, and the strongest response anywhere: 110 k weights.

    The strongest, as a part is somewhere, and small: a mean over the picture would drown a door.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 32, 48, 64)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for width in widths[1:])
        self.head = nn.Sequential(nn.Linear(2 * widths[-1], 64), nn.SiLU(), nn.Linear(64, len(PARTS)))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, 64, 64) in [-1, 1] to logits (B, parts), in the order of `PARTS`."""
        x = pictures
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.max_pool2d(F.silu(norm(layer(x))), 2)
        x = torch.cat([x.amax(dim=(2, 3)), x.mean(dim=(2, 3))], 1)  # (B, 128)
        return self.head(x)


class PartsTraining:
    """The training of a classifier, which goes on after a kill as if nothing had happened.

    Args:
        config: how to train.
        file: the checkpoint, made where it is missing.
    """

    def __init__(self, config: PartsConfig, file: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.file = config, file
        self.model = PartsClassifier()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=config.learning_rate, weight_decay=1e-2)
        self.step = 0
        state = load_checkpoint(file)
        if state is not None and state["config"] == _fingerprint(config):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]

    def run(self) -> Iterator[tuple[int, float]]:
        """Train to the end, yielding the step and the loss every 50 steps."""
        config = self.config
        if self.step >= config.steps:
            return
        pictures, labels = labelled_drawings(config)
        while self.step < config.steps:
            loss = self.train_step(pictures, labels)
            self.step += 1
            if self.step % config.checkpoint_every == 0 or self.step == config.steps:
                self._save()
            if self.step % 50 == 0 or self.step == config.steps:
                yield self.step, loss

    def train_step(self, pictures: Tensor, labels: Tensor) -> float:
        """Take one step, and return its loss."""
        config = self.config
        rng = torch.Generator().manual_seed(config.seed * 10_000_019 + self.step)
        chosen = torch.randint(len(pictures), (config.batch_size,), generator=rng)
        x, y = pictures[chosen].float() / 127.5 - 1, labels[chosen].clone()
        mirrored = torch.rand(len(x), generator=rng) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
        spoiled = int(config.smeared * len(x))
        x[:spoiled] = _smeared(x[:spoiled], rng)
        y[:spoiled, [part != "light" for part in PARTS]] = 0
        x[spoiled:] = _hardly_changed(x[spoiled:], rng)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - self.step / config.steps) * min(1.0, (self.step + 1) / 50)
        loss = F.binary_cross_entropy_with_logits(self.model(x), y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _save(self) -> None:
        state = {
            "config": _fingerprint(self.config),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        save_checkpoint(state, self.file)


def _fingerprint(config: PartsConfig) -> str:
    return f"{FORMAT} {config}"


def labelled_drawings(config: PartsConfig) -> tuple[Tensor, Tensor]:
    """Drawings with some parts left out: (N, 3, 64, 64) uint8 and (N, parts) float, 1 where the part was drawn."""
    rng = np.random.default_rng(config.seed)
    pictures, labels = [], []
    for seed in range(config.first_seed, config.first_seed + config.drawings):
        left_out = [part for part in PARTS if rng.random() < config.left_out]
        picture, drawn = draw_parts(seed, left_out)
        pictures.append(picture)
        labels.append([float(part in drawn) for part in PARTS])
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.tensor(labels)


def _smeared(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shapes that are none any more: wobbling by 1.5 to 3 pixels, and half of them blurred besides."""
    seed = int(torch.randint(2**31, (1,), generator=rng))
    pixels = 1.5 + 1.5 * float(torch.rand(1, generator=rng))
    x = warped(x, pixels, seed)
    half = len(x) // 2
    return torch.cat([x[:half], blurred(x[half:], 1.2)]) if half else x


def _hardly_changed(x: Tensor, rng: torch.Generator) -> Tensor:
    """What no eye would mind: a trace of noise, a colour that is a little off."""
    noise = torch.randn(x.shape, generator=rng) * 0.03 * torch.rand(len(x), 1, 1, 1, generator=rng)
    return (x + noise + 0.06 * torch.randn(len(x), 3, 1, 1, generator=rng)).clamp(-1, 1)


def load_parts_classifier(file: Path, config: PartsConfig | None = None) -> PartsClassifier:
    """The trained classifier, trained now or trained on where the file has none or an unfinished one."""
    training = PartsTraining(config or PartsConfig(), file)
    for _ in training.run():
        pass
    return training.model.eval()


def parts_found(classifier: PartsClassifier, pictures: np.ndarray, batch_size: int = 64) -> dict[str, float]:
    """How often each part is found in pictures (N, 64, 64, 3) uint8: share in 0..1, by the names of `PARTS`."""
    with torch.no_grad():
        logits = torch.cat([classifier(batch) for batch in from_uint8(pictures).split(batch_size)])
    return {part: float(share) for part, share in zip(PARTS, (logits > 0).float().mean(0), strict=True)}

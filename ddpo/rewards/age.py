"""How old or young a face looks, as in the models alkzar90/ddpo-over50-celebahq-256 and its like.

The classifier is nateraw/vit-age-classifier (a ViT trained on FairFace, Karkkainen and Joo 2021). The score is the
probability that it gives to the classes of that age. alcazar90's ddpo-celebahq trains on the same, but
puts -1 in the place of whatever is not above 0.6; that is left out here, as it hides what a picture lacks. The
classifier is the one file that is not pinned to a commit, see `ddpo.rewards.weights`, so its scores change if its
repository does.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ddpo.diffusion.parts import in_parts
from ddpo.diffusion.pictures import to_uint8
from ddpo.errors import UserError
from ddpo.rewards import weights
from ddpo.rewards.clip import CHUNK, TOO_FULL

if TYPE_CHECKING:
    from ddpo.diffusion.precision import Compute
    from ddpo.rewards import Reward

CLASSES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
OVER_50 = slice(6, None)
UNDER_30 = slice(None, 4)


class AgeClassifier:
    """The classifier on a device, frozen."""

    def __init__(self, model: Any, processor: Any, device: torch.device) -> None:
        self._model = model.eval().requires_grad_(False).to(device)
        self._processor, self._device = processor, device

    def probabilities(self, images: Tensor) -> Tensor:
        """Of the classes: (B, 3, H, W) float32 in [-1, 1] -> (B, 9) float32, on the device of the pictures.

        Raises:
            UserError: not a batch of RGB pictures, or one picture alone does not fit the device's memory.
        """
        return in_parts(self._encode, images, CHUNK, TOO_FULL)[0].to(images.device)

    def _encode(self, images: Tensor) -> Tensor:
        pixels = self._processor(list(to_uint8(images)), return_tensors="pt").pixel_values
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False):
            logits: Tensor = self._model(pixels.to(self._device)).logits
        return logits.float().softmax(1)


loaded: dict[str, AgeClassifier] = {}
_lock = threading.Lock()


def load_classifier(compute: Compute) -> AgeClassifier:
    """The classifier on that device, fetched on first use and kept.

    Raises:
        UserError: its files cannot be had, are damaged, or know other classes.
    """
    with _lock:
        device = str(compute.device)
        if device not in loaded:
            loaded[device] = _read_classifier(compute.device)
        return loaded[device]


def _read_classifier(device: torch.device) -> AgeClassifier:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    paths = [weights.fetch(file) for file in (weights.AGE_CONFIG, weights.AGE_PICTURES, weights.AGE_MODEL)]
    try:
        config, pictures = (json.loads(path.read_text(encoding="utf-8")) for path in paths[:2])
        labels = tuple(config["id2label"][str(index)] for index in range(len(config["id2label"])))
        processor = ViTImageProcessor.from_dict(pictures)
        model = ViTForImageClassification.from_pretrained(
            paths[2].parent, config=ViTConfig.from_dict(config), use_safetensors=True, local_files_only=True
        )
    except Exception as error:  # whatever transformers meets in damaged files
        raise UserError(
            "The age classifier cannot be read; `hf cache rm model/nateraw/vit-age-classifier` has it downloaded anew."
        ) from error
    if labels != CLASSES:
        raise UserError(f"The age classifier knows the classes {', '.join(labels)}, not the ones expected.")
    return AgeClassifier(model, processor, device)


def load_over_50(compute: Compute) -> Reward:
    """The scorer of faces over 50. Raises UserError where the classifier cannot be had."""
    classifier = load_classifier(compute)
    return lambda images: classifier.probabilities(images)[:, OVER_50].sum(1)


def load_under_30(compute: Compute) -> Reward:
    """The scorer of faces under 30. Raises UserError where the classifier cannot be had."""
    classifier = load_classifier(compute)
    return lambda images: classifier.probabilities(images)[:, UNDER_30].sum(1)

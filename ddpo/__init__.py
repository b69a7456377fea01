"""DDPO (Black et al. 2023, arXiv 2305.13301) for unconditional diffusion models: sample, score, compare, finetune."""

from ddpo import _torchvision_guard as _torchvision_guard

__version__ = "0.1.0"

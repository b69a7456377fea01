"""Which noise levels the pretraining visits, and how much the loss counts there.

What the network learns at a level goes with the product of both; the variance of its gradient does not. A level that
matters is better visited often than weighted heavily (Karras et al. 2022, arXiv 2206.00364, section 5).

The linear schedule of DDPM spends half of its 1000 steps at noise more than three times the picture's own range, where
nothing but the mood of the scene can be seen. Edges are made where the noise is a tenth to once that range, which is
steps 25 to 260: a quarter of a uniform draw.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sigmas(alphas_cumprod: Tensor) -> Tensor:
    """Noise over signal at each timestep, sqrt((1 - alpha_bar) / alpha_bar): (T,) to (T,)."""
    return ((1 - alphas_cumprod) / alphas_cumprod).sqrt()


def timestep_density(alphas_cumprod: Tensor, mean: float, spread: float, uniform: float) -> Tensor:
    """Chance of each timestep: ln sigma is normal, and a share of the draws is uniform over the timesteps.

    Karras et al. draw ln sigma from N(-1.2, 1.2), and for pictures of 64 x 64 from N(-0.8, 1.6) (2024, arXiv
    2312.02696, table 6). The uniform share keeps the highest noise in sight, where the colours of sky and land settle.

    Args:
        alphas_cumprod: (T,) alpha_bar in (0, 1), falling.
        mean: of ln sigma.
        spread: standard deviation of ln sigma, > 0.
        uniform: share in [0, 1]; 1 is DDPM's uniform draw.

    Returns:
        (T,) float64 that sums to 1.
    """
    levels = sigmas(alphas_cumprod.double()).log()  # (T,), rising
    width = torch.gradient(levels)[0]  # a timestep stands for as much of ln sigma as lies between its neighbours
    normal = torch.exp(-0.5 * ((levels - mean) / spread) ** 2) * width
    return (1 - uniform) * normal / normal.sum() + uniform / len(levels)


def floored_weights(alphas_cumprod: Tensor, floor: float) -> Tensor:
    """Weight of the v-loss at each timestep: epsilon's own weighting, but never below a floor.

    The epsilon loss is SNR / (SNR + 1) = alpha_bar times the v loss. It learns shapes sooner than the plain v loss, but
    vanishes where the noise is highest, which is where the colours are settled. A floor of 1 is the plain v loss.

    Args:
        alphas_cumprod: (T,) float, alpha_bar in (0, 1).
        floor: in [0, 1].

    Returns:
        (T,) float in [floor, 1].
    """
    return alphas_cumprod.clamp(min=floor)

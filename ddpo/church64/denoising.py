"""How well a network takes noise off held-out drawings, level by level: the quickest figure to compare trainings by.

The noise is the same for every network, so two of them differ by what they learned: 1% shows with 64 drawings, where
the distance of 64 samples is uncertain by 8%. It says nothing of samples, but trainings that differ little in it differ
little in them.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DModel

from ddpo.church64.noise_levels import sigmas
from ddpo.church64.pretrain import build_noise_schedule
from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.pictures import from_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import evaluate_unet

TIMESTEPS = (5, 15, 30, 60, 100, 160, 250, 350, 500, 700, 900)
FIRST_SCENE, SCENES = 5_800_000, 64  # drawings that nothing is trained on


def denoising_errors(unet: UNet2DModel, compute: Compute, scenes: int = SCENES) -> dict[str, float]:
    """The mean squared error of v on held-out drawings, by the noise level sigma (noise over signal).

    Args:
        unet: predicts v.
        compute: device and dtype.
        scenes: how many drawings.
    """
    schedule = build_noise_schedule()
    levels = sigmas(schedule.alphas_cumprod)
    x_0 = from_uint8(draw_scenes(FIRST_SCENE, scenes))
    noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
    errors = {}
    for timestep in TIMESTEPS:
        t = torch.full((scenes,), timestep)
        x_t, v = schedule.add_noise(x_0, noise, t), schedule.get_velocity(x_0, noise, t)
        with torch.no_grad():
            predicted = evaluate_unet(unet, x_t.to(compute.device), t, compute).cpu()
        errors[f"{float(levels[timestep]):.2f}"] = float((predicted - v).square().mean())
    return errors

"""Whether a folder holds a model that can be loaded, by its configurations alone: before any weights are there."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import diffusers
from diffusers import DDPMScheduler

from ddpo.diffusion import bounds, footprint, schedulers
from ddpo.diffusion.bounds import read_config
from ddpo.diffusion.footprint import Footprint
from ddpo.diffusion.network import part
from ddpo.errors import UserError


def check_model(folder: Path, source: str) -> Footprint:
    """Refuse what is no unconditional model of RGB pictures, or one that asks for too much.

    Returns:
        What the network needs.

    Raises:
        UserError: one sentence that says what is wrong with it.
    """
    index = folder / "model_index.json"
    parts = read_config(index, source).keys() if index.is_file() else ()
    if any(part in ("vae", "vqvae", "movq") for part in parts):
        raise UserError(f"{source!r} works in a latent space; only models of RGB pictures can be compared.")
    network = read_config(part(folder, "unet", "config.json", source), source)
    _check_architecture(network, source)
    bounds.check_network(network, source)
    _check_schedule(read_config(part(folder, "scheduler", "scheduler_config.json", source), source), source)
    return footprint.check_network(network, source)


def _check_architecture(config: dict[str, Any], source: str) -> None:
    others = config.get("architectures")
    name = config.get("_class_name") or (others[0] if isinstance(others, list) and others else "UNet2DModel")
    if name != "UNet2DModel":
        raise UserError(f"{source!r} holds a {str(name)[:80]}; only unconditional UNet2DModel models can be compared.")
    if config.get("num_class_embeds") or config.get("class_embed_type"):
        raise UserError(f"{source!r} is conditioned on classes; only unconditional models can be compared.")
    if (config.get("in_channels", 3), config.get("out_channels", 3)) != (3, 3):
        raise UserError(f"{source!r} works in a latent space or in grey; only models of RGB pictures can be compared.")


def _check_schedule(config: dict[str, Any], source: str) -> None:
    """Refuse what is no noise schedule of betas, or one that some scheduler would fail on."""
    bounds.check_schedule(config, source)
    name = config.get("_class_name", "DDPMScheduler")
    kind = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(kind, type) or "beta_start" not in inspect.signature(kind).parameters:
        raise UserError(
            f"{source!r} was trained with the noise of a {str(name)[:80]}; only models with a noise schedule of betas, "
            "as DDPM's is, can be compared."
        )
    try:
        noise = DDPMScheduler.from_config(config)
        own, alphas = noise.config, noise.alphas_cumprod
        for scheduler in schedulers.SCHEDULERS.values():
            schedulers.create_scheduler(scheduler, config, scheduler.min_steps)
        sound = len(alphas) == own.num_train_timesteps and bool(((alphas >= 0) & (alphas <= 1)).all())
        sound &= own.prediction_type in ("epsilon", "sample", "v_prediction")
        sound &= not own.clip_sample or own.clip_sample_range > 0
        sound &= not own.thresholding or 0 < own.dynamic_thresholding_ratio < 1 <= own.sample_max_value
        sound &= not str(own.variance_type).startswith("learned")  # None in some schedulers' own configs
    except Exception as error:  # whatever diffusers meets in a config
        raise UserError(_unsound(source)) from error
    if not sound:
        raise UserError(_unsound(source))
    if own.prediction_type == "epsilon" and not own.clip_sample and float(alphas.min()) == 0:
        raise UserError(
            f"{source!r} predicts the noise, and its noise schedule ends in nothing but noise (a zero terminal SNR), "
            "from which no picture follows: give it prediction_type v_prediction or clip_sample in "
            "scheduler_config.json, if it was trained so, or rescale_betas_zero_snr false."
        )


def _unsound(source: str) -> str:
    return (
        f"scheduler_config.json in {source!r} does not describe a noise schedule that can be sampled with; the model "
        "is damaged, or of another kind."
    )

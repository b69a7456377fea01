"""Models of a few kilobytes: a network, folders in the layouts of the Hub, and ways to damage them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel

from ddpo.diffusion.models import save_model

SAFETENSORS, BIN = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"


def make_unet(seed: int = 0) -> UNet2DModel:
    """A UNet of 16 x 16 pictures, small enough for a step in a few milliseconds, with weights that are not zero."""
    torch.manual_seed(seed)
    return UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=8,
    )


def two_models(folder: Path) -> dict[str, str]:
    """Two tiny models that predict v, in folders within one; name to folder."""
    schedule = dict(DDPMScheduler(prediction_type="v_prediction").config)
    found = {name: folder / name for name in ("plain", "other")}
    for seed, path in enumerate(found.values()):
        save_model(make_unet(seed), schedule, path, torch.float32)
    return {name: str(path) for name, path in found.items()}


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_scheduler(folder: Path, **changes: object) -> None:
    """Change the scheduler's configuration of a saved model."""
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flatten(folder: Path) -> None:
    """Have everything in the root, as the google/ddpm-* repositories do."""
    for part in ("unet", "scheduler"):
        for file in (folder / part).iterdir():
            file.rename(folder / file.name)
        (folder / part).rmdir()


def to_bin(folder: Path, old_names: bool = False) -> None:
    """Replace the safetensors by a .bin, on wish with the names that attention had in the first diffusers."""
    from safetensors.torch import load_file

    (path,) = folder.rglob(SAFETENSORS)
    weights = load_file(path)
    if old_names:
        names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        for new, old in names.items():
            weights = {name.replace(f".{new}.", f".{old}."): weight for name, weight in weights.items()}
        assert any(".query." in name for name in weights)
    torch.save(weights, path.with_name(BIN))
    path.unlink()


def truncate(folder: Path) -> None:
    path = folder / "unet" / SAFETENSORS
    path.write_bytes(path.read_bytes()[:-1000])


def drop_tensors(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "unet" / SAFETENSORS
    weights = load_file(path)
    save_file({name: weight for name, weight in weights.items() if "mid_block" not in name}, path)


def no_unet(folder: Path) -> None:
    shutil.rmtree(folder / "unet")
    (folder / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}')


def with_autoencoder(folder: Path) -> None:
    """As in CompVis/ldm-celebahq-256, whose network has three channels too."""
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "vqvae": ["diffusers", "VQModel"]}))


UNSOUND: list[dict[str, Any]] = [  # configurations of a scheduler
    {"beta_schedule": "foo"}, {"prediction_type": "flow_prediction"},
    {"trained_betas": [0.1, 0.2]}, {"variance_type": "learned_range"}, {"timestep_spacing": "foo"},
    {"clip_sample_range": None, "clip_sample": True}, {"thresholding": True, "dynamic_thresholding_ratio": "most"},
]  # fmt: skip

UNSUITED: dict[str, tuple[Callable[[Path], object], str]] = {
    "conditional": (lambda f: edit_config(f, _class_name="UNet2DConditionModel"), "holds a UNet2DConditionModel"),
    "transformer": (lambda f: edit_config(f, _class_name="DiTTransformer2DModel"), "holds a DiTTransformer2DModel"),
    "classes": (lambda f: edit_config(f, num_class_embeds=10), "conditioned on classes"),
    "latent": (lambda f: edit_config(f, in_channels=4, out_channels=4), "latent"),
    "latent of three channels": (with_autoencoder, "latent"),
    "no size": (lambda f: edit_config(f, sample_size=None), "sample_size is missing"),
    "language model": (no_unet, "holds a GPT2LMHeadModel"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json is missing"),
    "no configuration": (lambda f: (f / "unet" / "config.json").unlink(), "unet/config.json is missing"),
    "no scheduler of betas": (lambda f: edit_scheduler(f, _class_name="ScoreSdeVeScheduler"), "noise of a ScoreSde"),
    "flow matching": (lambda f: edit_scheduler(f, _class_name="FlowMatchEulerDiscreteScheduler"), "noise of a Flow"),
    "unknown scheduler": (lambda f: edit_scheduler(f, _class_name=5), "noise of a 5"),
    **{
        f"noise schedule {number}": (partial(edit_scheduler, **changes), "does not describe a noise schedule")
        for number, changes in enumerate(UNSOUND)
    },
    **{
        f"size {number}": (partial(edit_config, sample_size=size), "as the sample_size of its pictures")
        for number, size in enumerate(([16, 16, 16], 16.0, 17, -16, "16", 100_000))
    },
    "nothing but noise": (
        lambda f: edit_scheduler(f, prediction_type="epsilon", clip_sample=False, rescale_betas_zero_snr=True),
        "ends in nothing but noise",
    ),
    "odd classes": (lambda f: edit_config(f, _class_name=None, architectures=5, sample_size="x"), "sample_size of its"),
    "not JSON": (lambda f: (f / "unet" / "config.json").write_text("<html>"), "not valid JSON"),
}

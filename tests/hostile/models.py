"""Model folders that ask for too much, or make no sense: what was changed in a good one, and words of the refusal."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class HostileModel:
    """A change to the folder of a good model."""

    words: str  # a pattern that the refusal matches
    change: Callable[[Path], None]


def _edit(file: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def network(words: str, **changes: Any) -> HostileModel:
    """Changes to the network's configuration."""
    return HostileModel(words, _edit("unet/config.json", **changes))


def schedule(words: str, **changes: Any) -> HostileModel:
    """Changes to the scheduler's configuration."""
    return HostileModel(words, _edit("scheduler/scheduler_config.json", **changes))


def _written(file: str, content: str | bytes) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content

    def change(folder: Path) -> None:
        (folder / file).write_bytes(data)

    return change


def _bomb(folder: Path) -> None:
    """20 MB of zeros as a zip of 20 kB in place of weights of 50 kB."""
    for path in (folder / "unet").glob("*.safetensors"):
        path.unlink()
    weights = folder / "unet" / "diffusion_pytorch_model.bin"
    with zipfile.ZipFile(weights, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("archive/data/0", "w") as file:
        for _ in range(20):
            file.write(bytes(1 << 20))


def _header(folder: Path) -> None:
    """Safetensors that claim a header of 2^60 bytes."""
    for path in (folder / "unet").glob("*.safetensors"):
        path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}")


MODELS: dict[str, HostileModel] = {
    "a hundred million timesteps": schedule("num_train_timesteps", num_train_timesteps=10**8),
    "timesteps that are no number": schedule("num_train_timesteps", num_train_timesteps="1000"),
    "no timesteps": schedule("num_train_timesteps", num_train_timesteps=0),
    "timesteps of 400 digits": schedule("num_train_timesteps", num_train_timesteps=10**400),
    "a million betas": HostileModel(
        "larger than 1 MB|trained_betas", _edit("scheduler/scheduler_config.json", trained_betas=[0.01] * 1_000_000)
    ),
    "20,000 betas": schedule("trained_betas", trained_betas=[0.01] * 20_000),
    "betas that are texts": schedule("noise schedule", trained_betas=["a"] * 1000),
    "betas without an end": schedule("noise schedule", beta_end=float("inf")),
    "a solver of order 10^8": schedule("solver_order", solver_order=10**8),
    "negative betas": schedule("noise schedule", beta_start=-5.0, beta_end=-1.0),
    "ten million layers a block": network("layers_per_block", layers_per_block=10**7),
    "no layers": network("layers_per_block", layers_per_block=0),
    "layers without a number": network("layers_per_block", layers_per_block=None),
    "a billion channels": network("block_out_channels", block_out_channels=[10**9, 16]),
    "a thousand levels": network("block_out_channels", block_out_channels=[8] * 1000),
    "no levels": network("block_out_channels", block_out_channels=[]),
    "channels that are a text": network("block_out_channels", block_out_channels="8, 16"),
    "blocks of fewer levels": network("levels", down_block_types=["DownBlock2D"]),
    "blocks that there are not": network("down_block_types", down_block_types=["DownBlock2D", "EvilBlock"]),
    "blocks that need a text": network("down_block_types", down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"]),
    "blocks that are lists": network("up_block_types", up_block_types=[[], {}]),
    "a time embedding of 10^9": network("time_embedding_dim", time_embedding_dim=10**9),
    "a learned embedding of 10^9 timesteps": network(
        "num_train_timesteps", num_train_timesteps=10**9, time_embedding_type="learned"
    ),
    "padding of 10^6": network("downsample_padding", downsample_padding=10**6),
    "groups that do not divide": network("network that denoises", norm_num_groups=7),
    "no groups": network("norm_num_groups", norm_num_groups=0),
    "an activation that there is not": network("act_fn", act_fn="__import__"),
    "an embedding of a wrong type": network("time_embedding_type", time_embedding_type=["x"]),
    "a scale of zero": network("mid_block_scale_factor", mid_block_scale_factor=0),
    "an epsilon that is a text": network("norm_eps", norm_eps="small"),
    "pictures of 10^6 pixels a side": network("sample_size", sample_size=10**6),
    "pictures of 10^400 pixels a side": network("sample_size", sample_size=10**400),
    "pictures of a third dimension": network("sample_size", sample_size=[16, 16, 16]),
    "attention over a million places": network(
        "attention", sample_size=1024, down_block_types=["AttnDownBlock2D"] * 2, up_block_types=["AttnUpBlock2D"] * 2
    ),
    "attention between the ways down and up": network(
        "attention", sample_size=1024, block_out_channels=[8], down_block_types=["DownBlock2D"],
        up_block_types=["UpBlock2D"],
    ),
    "in bounds, and larger than the memory": network(
        "GB of memory|TB of memory", block_out_channels=[8192] * 2, layers_per_block=4, attention_head_dim=64,
        norm_num_groups=1,
    ),
    "brackets without an end": HostileModel("not valid JSON", _written("unet/config.json", "[" * 200_000)),
    "a configuration of 3 MB": HostileModel("larger than 1 MB", _written("unet/config.json", " " * (3 << 20) + "{}")),
    "bytes that are no text": HostileModel("not valid JSON", _written("unet/config.json", b"\xff\xfe\x00")),
    "an index that is a list": HostileModel("configuration", _written("model_index.json", "[]")),
    "weights that unpack without an end": HostileModel("larger than its network", _bomb),
    "weights with a header of 2^60 bytes": HostileModel("cannot be read", _header),
}  # fmt: skip

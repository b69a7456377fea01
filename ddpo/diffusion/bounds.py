"""What the configurations of a model may say: bounds on every number that decides size, before anything is built.

A configuration of 1 kB can ask for more than any machine has, so whoever reads one comes through here. Torch is not
imported.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddpo.common.words import shown
from ddpo.errors import UserError

LARGEST_FILE = 1 << 20  # bytes of a configuration; those of google/ddpm-* have 1 kB
LARGEST_SIDE = 1024  # pixels
MOST_TIMESTEPS = 10_000  # ten times DDPM's
MOST_LEVELS = 10
MOST_CHANNELS = 8192
MOST_PLACES = 128 * 128  # in the picture at a level with attention, whose cost grows with their square
_LEVEL_LISTS = ("block_out_channels", "down_block_types", "up_block_types")

# Whole numbers of UNet2DModel's configuration and their ranges. None is allowed for all but the first.
WHOLE = {
    "layers_per_block": (1, 16),
    "norm_num_groups": (1, MOST_CHANNELS),
    "attn_norm_num_groups": (1, MOST_CHANNELS),
    "attention_head_dim": (1, MOST_CHANNELS),
    "time_embedding_dim": (2, 4 * MOST_CHANNELS),
    "num_train_timesteps": (1, MOST_TIMESTEPS),
    "downsample_padding": (0, 1),
}
# Other numbers and their ranges.
NUMBERS = {
    "mid_block_scale_factor": (1e-3, 1e3),
    "norm_eps": (0.0, 1.0),
    "dropout": (0.0, 1.0),
    "freq_shift": (-100.0, 100.0),
}
BLOCKS = frozenset(
    f"{kind}{way}Block2D" for way in ("Down", "Up") for kind in ("", "Attn", "Skip", "AttnSkip")
) | {"ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D", "KDownBlock2D", "KUpBlock2D"}  # fmt: skip
WORDS = {  # texts that choose a part, and the choices
    "act_fn": ("silu", "swish", "mish", "gelu", "relu"),
    "time_embedding_type": ("positional", "fourier", "learned"),
    "downsample_type": ("conv", "resnet"),
    "upsample_type": ("conv", "resnet"),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "mid_block_type": ("UNetMidBlock2D",),
}


def read_config(path: Path, source: str) -> dict[str, Any]:
    """The JSON object in a configuration file.

    Raises:
        UserError: it cannot be read, is larger than LARGEST_FILE, or holds anything else.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(
                f"{path.name} in {source!r} is larger than {LARGEST_FILE >> 20} MB, which no configuration is; the "
                "model is damaged."
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except UserError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path.name} in {source!r} is not valid JSON; the model is damaged.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path.name} in {source!r} does not hold a configuration; the model is damaged.")
    return content


def check_network(config: Mapping[str, Any], source: str) -> None:
    """Refuse a UNet2DModel's configuration in which a number that decides its size is out of bounds.

    Raises:
        UserError: one is; the sentence names it and its range.
    """
    _check_levels(config, source)
    _check_size(config, source)
    for name, (low, high) in WHOLE.items():
        value = config.get(name)
        if (value is not None or (name == "layers_per_block" and name in config)) and not (
            type(value) is int and low <= value <= high
        ):
            raise _out_of_range(name, value, f"a whole number from {low} to {high}", source)
    for name, (least, most) in NUMBERS.items():
        value = config.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise _out_of_range(name, value, f"a number from {least:g} to {most:g}", source)
    for name, choices in WORDS.items():
        value = config.get(name)
        if value is not None and value not in choices:
            raise _out_of_range(name, value, f"one of {', '.join(choices)}", source)
    _check_attention(config, source)


def check_schedule(config: Mapping[str, Any], source: str) -> None:
    """Refuse a scheduler's configuration in which anything decides size beyond MOST_TIMESTEPS.

    Raises:
        UserError: a number or a list is out of bounds; the sentence names it and its range.
    """
    for name, value in config.items():
        if isinstance(value, list | dict) and len(value) > MOST_TIMESTEPS:
            raise _out_of_range(name, f"{len(value):,} entries", f"at most {MOST_TIMESTEPS:,} entries", source, _FILE)
        numbers = value if isinstance(value, list) else [value]
        if not all(_is_small(number) for number in numbers):
            bad = next(number for number in numbers if not _is_small(number))
            raise _out_of_range(name, bad, f"at most {MOST_TIMESTEPS:,}", source, _FILE)
    for name, low, high in (("num_train_timesteps", 1, MOST_TIMESTEPS), ("solver_order", 1, 3)):
        value = config.get(name, low)
        if not (type(value) is int and low <= value <= high):
            raise _out_of_range(name, value, f"a whole number from {low} to {high:,}", source, _FILE)


_FILE = "scheduler_config.json"


def _is_small(value: Any) -> bool:
    """Whether it is no whole number that could be a size; fractions are none, and may be infinite in a config."""
    return type(value) is not int or -MOST_TIMESTEPS <= value <= MOST_TIMESTEPS


def _check_levels(config: Mapping[str, Any], source: str) -> None:
    """The lists with an entry a level: as long as one another, of channels and of known blocks."""
    lists = {name: config[name] for name in _LEVEL_LISTS if name in config}
    for name, values in lists.items():
        if not isinstance(values, list) or not 1 <= len(values) <= MOST_LEVELS:
            raise _out_of_range(name, values, f"a list of 1 to {MOST_LEVELS} entries", source)
    lengths = {len(values) for values in lists.values()}
    if len(lengths) > 1 or (lengths and len(lists) < len(_LEVEL_LISTS) and lengths != {4}):  # diffusers' default has 4
        raise UserError(
            f"config.json in {source!r} gives {', '.join(_LEVEL_LISTS[:2])} and {_LEVEL_LISTS[2]} different numbers of "
            "levels; the model is damaged."
        )
    for value in config.get("block_out_channels", ()):
        if not (type(value) is int and 1 <= value <= MOST_CHANNELS):
            raise _out_of_range("block_out_channels", value, f"whole numbers from 1 to {MOST_CHANNELS}", source)
    for name in _LEVEL_LISTS[1:]:
        for value in config.get(name, ()):
            if not isinstance(value, str) or value not in BLOCKS:
                raise _out_of_range(name, value, f"blocks of an unconditional UNet2DModel ({_listed()})", source)


def _listed() -> str:
    return "DownBlock2D, AttnDownBlock2D, UpBlock2D, AttnUpBlock2D and the like"


def _check_size(config: Mapping[str, Any], source: str) -> None:
    size = config.get("sample_size")
    if not size:
        raise UserError(f"{source!r} does not say how large its pictures are; sample_size is missing in config.json.")
    unit = 1 << (len(config.get("block_out_channels", [0] * 4)) - 1)
    if not all(type(side) is int and 0 < side <= LARGEST_SIDE and side % unit == 0 for side in _sides(size)):
        raise UserError(
            f"{source!r} gives {shown(size)} as the sample_size of its pictures, which must be one or two multiples of "
            f"{unit} up to {LARGEST_SIDE} pixels; its config.json is damaged."
        )


def _sides(size: Any) -> list[Any]:
    return size if isinstance(size, list) and len(size) == 2 else [size]


def _check_attention(config: Mapping[str, Any], source: str) -> None:
    """Attention looks from every place of a level to every other."""
    sides = _sides(config["sample_size"])
    places = math.prod(sides) if len(sides) == 2 else sides[0] ** 2
    down = config.get("down_block_types", ["DownBlock2D", *["AttnDownBlock2D"] * 3])
    up = config.get("up_block_types", [*["AttnUpBlock2D"] * 3, "UpBlock2D"])
    last = len(down) - 1
    for level, kinds in enumerate(zip(down, reversed(up), strict=True)):
        between = level == last and config.get("add_attention", True)  # in the block between the way down and up
        if (between or any(kind.startswith("Attn") for kind in kinds)) and places >> (2 * level) > MOST_PLACES:
            raise UserError(
                f"config.json in {source!r} asks for attention in pictures of {places >> (2 * level):,} pixels, and "
                f"{MOST_PLACES:,} are the most that can be computed; choose another model."
            )


def _out_of_range(name: str, value: Any, allowed: str, source: str, file: str = "config.json") -> UserError:
    return UserError(
        f"{name[:80]} in {file} of {source!r} must be {allowed}, and {shown(value)} is not; the model is damaged or "
        "too large for this program."
    )

"""The card of the bundled pair: every figure in it comes from results.json, which `measure` wrote."""

from __future__ import annotations

from typing import Any

from ddpo import rewards
from ddpo.church64 import fidelity
from ddpo.common import markdown
from ddpo.diffusion.schedulers import get_scheduler
from ddpo.training.config import TrainConfig, settings
from ddpo.training.recipes import get_recipe

NEAREST = "quick"  # the recipe that the command of the card begins with
LINE = 110  # characters of that command in a line, before the indent

_CARD = """\
# church-64

A pair of unconditional diffusion models of drawn churches, 64 x 64 pixels: `base/`, and `tuned/`, which was finetuned
from it with DDPO on the score `{reward}`. Both are plain diffusers folders:

```python
from diffusers import DDPMPipeline

picture = DDPMPipeline.from_pretrained("assets/church-64/tuned")().images[0]
```

The training data are drawings made by `ddpo/church64/scenes.py`, about a third of them dull on purpose, so there is
no licence but this repository's. Rebuild everything, figures and grids included, with `python -m ddpo.church64 all`;
it can be stopped at any time and goes on where it was.

| base | finetuned, the same seeds |
|---|---|
| ![32 pictures of the base model](base.png) | ![The same seeds from the finetuned model](tuned.png) |

The grids show the first 32 of the measured seeds, DDIM 50, none left out.

`tuned/` is what this makes of `base/` when it is left to finish, the moving average of the weights:

{command}

## What the finetuning changed

Over so many seeds from {first_seed} on, none of them used in training. The gain is the mean paired difference in
standard deviations of the base's own scores; diversity is `ddpo/training/diversity.py`'s, as a share of the base's.

{gains}
{clear}
The measure of diversity sees pictures become alike: a copy that was pushed too far on purpose (`{collapse_reward}`, no
KL penalty, {collapse_epochs} epochs), so that most of its pictures show one weather, keeps {collapsed:.0%} of it.

## How close the base is to the drawings

Mean of each RGB channel, mean contrast (standard deviation of a picture's grey levels) and mean saturation
(largest less smallest channel), all in 0..1, of the same pictures against {scenes} drawings that were not trained on.

{appearance}
{fidelity}
## How it was made

Measured with `python -m ddpo.church64 measure` on {compute}. A scheduler without a row was not measured.

Pretraining: {pretraining}.

Finetuning, where it differs from the defaults of `TrainConfig`: {finetuning}.
"""


def render(
    results: dict[str, Any],
    pretraining: dict[str, Any],
    finetuning: TrainConfig,
    collapse: TrainConfig,
    collapse_reward: str,
) -> str:
    """The card as Markdown.

    Args:
        results: what `measure.measure` returned.
        pretraining: what `release.choose` wrote of how the base was trained.
        finetuning: how tuned/ was made.
        collapse: how the copy was made that the measure of diversity is checked on.
        collapse_reward: what that copy was finetuned on.
    """
    reward, scenes = results["reward"], results["scenes"]
    return _CARD.format(
        reward=reward,
        first_seed=results["first_seed"],
        scenes=scenes["count"],
        command=_command(finetuning, reward),
        gains="\n".join(gains(results)),
        clear=_clear(results),
        appearance=_appearance(results),
        fidelity=_fidelity(results),
        collapse_reward=collapse_reward,
        collapsed=results["collapsed_diversity_kept"],
        collapse_epochs=collapse.epochs,
        compute=results["compute"],
        pretraining=_pretraining(pretraining),
        finetuning=_fields(_changed(finetuning, TrainConfig())),
    )


def _command(config: TrainConfig, reward: str) -> str:
    """What `train_space.py` is told to make a pair of this config: an indented block."""
    recipe = get_recipe(NEAREST)
    words = [f"--{name.replace('_', '-')} {value}" for name, value in _changed(config, recipe.config).items()]
    lines = [f"python train_space.py start --pair church-64 --reward {reward} --recipe {recipe.name}"]
    for word in words:
        if len(lines[-1]) + len(word) > LINE:
            lines.append("   ")
        lines[-1] += f" {word}"
    return " \\\n".join(f"    {line}" for line in lines)


def _clear(results: dict[str, Any]) -> str:
    """How close both models are to drawings in clear weather; nothing for figures from before that was measured."""
    rows = {name: row["clear_weather"] for name, row in results["schedulers"].items() if "clear_weather" in row}
    if not rows:
        return ""
    lines = (
        (get_scheduler(name).title, *(f"{of['distance']:.0f} ± {of['standard_error']:.0f}" for of in row.values()))
        for name, row in rows.items()
    )
    return _CLEAR.format(table="\n".join(markdown.table(("scheduler", "base", "finetuned"), lines)))


def _changed(config: TrainConfig, other: TrainConfig) -> dict[str, Any]:
    """The settings in which a config differs from another, and its values of them."""
    return {s.name: value for s in settings() if (value := getattr(config, s.name)) != getattr(other, s.name)}


def gains(results: dict[str, Any]) -> list[str]:
    """The lines of a table: what both models score by scheduler, and what the finetuned one gains."""
    decimals = rewards.get(results["reward"]).decimals
    lines = []
    for name, row in results["schedulers"].items():
        s = row["statistics"]
        low, high = (f"{s[end]:+.{decimals}f}" for end in ("interval_low", "interval_high"))
        lines.append(
            (
                get_scheduler(name).title, row["steps"], s["n"], f"{s['mean_base']:.{decimals}f}",
                f"{s['mean_tuned']:.{decimals}f}", f"{s['mean_difference']:+.{decimals}f} ({low} to {high})",
                f"{s['gain_in_sd']:.2f}", f"{s['win_rate']:.0%}", f"{row['diversity_kept']:.0%}",
            )
        )  # fmt: skip
    heads = "scheduler", "steps", "seeds", "base", "finetuned", "difference (95%)", "gain in SD", "wins"
    return markdown.table((*heads, "diversity kept"), lines)


def _appearance(results: dict[str, Any]) -> str:
    rows = {"drawings": results["scenes"]}
    for name, row in results["schedulers"].items():
        rows[f"base, {get_scheduler(name).title} {row['steps']}"] = row["base"]
        rows[f"finetuned, {get_scheduler(name).title} {row['steps']}"] = row["tuned"]
    lines = (
        (title, *(f"{value:.3f}" for value in (*look["rgb"], look["contrast"], look["saturation"])))
        for title, look in rows.items()
    )
    return "\n".join(markdown.table(("pictures", "red", "green", "blue", "contrast", "saturation"), lines))


_CLEAR = """
A score that rises is not yet a better picture. `python -m ddpo.church64 judge` asks a measure that is not the reward:
the unbiased kernel distance of the same pictures to held-out drawings in clear weather, times 1000, with its standard
error.

{table}
"""

_FIDELITY = """
The left half of this page are samples of the base (DDIM 50, the first 64 of the measured seeds), the right half
drawings, neither sorted nor chosen.

![64 samples beside 64 drawings](samples.png)

The figures of `python -m ddpo.church64 fidelity`: the unbiased kernel distance to held-out drawings in a scattering
transform, times 1000, with its standard error; edge sharpness; roughness of flat areas in grey levels; and in how many
pictures a small classifier finds each part of a church.

{table}
"""


def _fidelity(results: dict[str, Any]) -> str:
    """The page of samples and the table of fidelity; nothing for figures from before there was one."""
    if "fidelity" not in results:
        return ""
    rows = {"drawings": results["fidelity"]}
    for name, row in results["schedulers"].items():
        for model, title in (("base", "base"), ("tuned", "finetuned")):
            rows[f"{title}, {get_scheduler(name).title} {row['steps']}"] = row["fidelity"][model]
    return _FIDELITY.format(table=fidelity.table({title: fidelity.Fidelity(**row) for title, row in rows.items()}))


def _pretraining(facts: dict[str, Any]) -> str:
    """The settings that the training ended with, and what it took where that was kept."""
    settings_used = _fields(facts["history"][-1]["config"])
    if "processor_hours" not in facts:
        return settings_used
    return (
        f"{facts['steps']} steps, {facts['pictures']:,} pictures, {facts['processor_hours']:g} hours "
        f"({facts['compute']}), begun with {facts['began_with']}, saved: {facts['chosen']}. Settings: {settings_used}"
    )


def _fields(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())

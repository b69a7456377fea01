"""The model card of a finetuned model, in the Hub's format: YAML front matter, then Markdown.

It is made of what the run folder holds. It names a base on the Hub by its id and any other by the last part of its
path, so that it tells nothing about the machine that the model was made on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ddpo import rewards
from ddpo.common.statistics import PairedStatistics, describe
from ddpo.common.words import epochs_in_words, in_words
from ddpo.diffusion.catalogue import ASSETS
from ddpo.hub import downloads, ids
from ddpo.publish import evaluated
from ddpo.runs.store import Run
from ddpo.training.config import settings
from ddpo.training.events import EpochMetrics

BEFORE, AFTER, CURVE = "grids/before.png", "grids/after.png", "reward.png"  # files beside the card
TAGS = ("ddpo", "diffusion", "reinforcement-learning", "unconditional-image-generation")
PAPER = "[Black et al. 2023](https://arxiv.org/abs/2305.13301)"
ALGORITHMS = {  # whatever is no DDPO
    "rwr": f"reward-weighted regression ({PAPER})",
    "draft": "the gradient of the reward ([Clark et al. 2023](https://arxiv.org/abs/2309.17400))",
}
ROWS = 12  # of the table of epochs, at the most

_CARD = """\
{front_matter}
# {title}

An unconditional diffusion model: {base}, finetuned with {algorithm} so that its pictures
score higher on {reward}. Made with DDPO Studio.

## Use it

```python
from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("{repo_id}")
picture = pipeline().images[0]
```

In DDPO Studio, `{repo_id}` can be given as a model to compare with any other of the same size.
{grids}
## Reward

{progress}
{curve}
{epochs}
{statistics}{evaluated}
## How it was made

{made}

<details>
<summary>All settings</summary>

{settings}

</details>

## Mind

The model was made to please one score. A score is not a judgement: what it does not measure may have become worse, and
pictures may have become more alike. {licence}
"""


def write_card(
    run: Run,
    statistics: PairedStatistics | None = None,
    repo_id: str = "owner/name",
    licence: str | None = None,
    scorer: str | None = None,
) -> str:
    """The card as text.

    Args:
        run: a run with epochs.
        statistics: of its result against its base, over seeds that were not trained on; None: those of the run, which
            are of the seeds of its grids.
        repo_id: where the model will be.
        licence: of the base, as the Hub names licences; None where it is not known.
        scorer: of the statistics; the reward of the run by default.
    """
    model = hub_base(run)
    epochs, statistics = run.result_epochs(), statistics or run.result_facts().statistics
    return _CARD.format(
        front_matter=_front_matter(run, licence),
        title=repo_id.rpartition("/")[2],
        base=_base(run),
        algorithm=ALGORITHMS.get(run.spec.config.algorithm, f"DDPO ({PAPER})"),
        reward=_reward(run.spec.reward),
        repo_id=repo_id,
        grids=_grids(run),
        progress=_progress(epochs),
        curve=f"\n![Mean reward by epoch, with the 10% and 90% quantiles]({CURVE})\n" if len(epochs) > 1 else "",
        epochs=_epochs(epochs),
        statistics=_statistics(statistics, scorer or run.spec.reward) if statistics else "",
        evaluated=evaluated.section(run),
        made=_made(run),
        settings=_settings(run),
        licence=(
            f"The licence of the base, {licence}, holds for this model too."
            if licence
            else f"The licence of the base holds for this model too{'; see its page' if model else ''}."
        ),
    )


def hub_base(run: Run) -> ids.HubModel | None:
    """The base of a run where it is one on the Hub."""
    return None if ids.as_path(run.spec.base).is_dir() else ids.parse(run.spec.base)


def base_licence(run: Run) -> str | None:
    """The licence of the base of a run, None where it cannot be found out. Asks the Hub where the base is there."""
    if ASSETS in Path(run.spec.base).parents:
        return "apache-2.0"  # what comes with this repository has its licence
    model = hub_base(run)
    return downloads.licence(model) if model else None


def _front_matter(run: Run, licence: str | None) -> str:
    from huggingface_hub import ModelCardData

    model = hub_base(run)
    data = ModelCardData(
        license=licence,
        base_model=model.id if model else None,
        library_name="diffusers",
        pipeline_tag="unconditional-image-generation",
        tags=list(TAGS),
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _base(run: Run) -> str:
    model = hub_base(run)
    if model is not None:
        revision = f" at `{model.revision}`" if model.revision else ""
        return f"[{model.id}](https://huggingface.co/{model.id}){revision}"
    if ASSETS in Path(run.spec.base).parents:
        return f"the base of {run.spec.pair or Path(run.spec.base).parent.name}, which comes with DDPO Studio"
    path = Path(run.spec.base)
    return f"`{_one_line(path.parent.name if path.name == 'result' else path.name)}`"  # "result" is in every run


def _reward(name: str) -> str:
    spec = rewards.find(name)
    return f"`{name}` ({spec.title.lower()})" if spec else f"`{_one_line(name)}`, a reward of the author's own"


def _grids(run: Run) -> str:
    samples = run.result_samples()
    if len(samples) < 2:
        return ""
    return (
        f"\n| the base | after {epochs_in_words(samples[-1][0])}, the same seeds |\n|---|---|\n"
        f"| ![Pictures of the base]({BEFORE}) | ![The same seeds from the finetuned model]({AFTER}) |\n"
    )


def _progress(epochs: Sequence[EpochMetrics]) -> str:
    if not epochs:
        return "No epoch was finished."
    first, last = epochs[0], epochs[-1]
    return (
        f"The mean over the pictures that it was trained on went from {_number(first.reward_mean)} in the first "
        f"epoch to {_number(last.reward_mean)} in epoch {last.epoch}."
    )


def _epochs(epochs: Sequence[EpochMetrics]) -> str:
    """At most ROWS epochs, spread evenly, with the first and the last."""
    columns = {
        "epoch": "epoch", "reward_mean": "mean reward", "reward_std": "standard deviation", "kl": "KL to the base",
        "output_change": "change of the output", "diversity": "diversity, as a share of the first epoch's",
    }  # fmt: skip
    for name in ("kl", "output_change"):  # an algorithm has one of them or none
        if not any(math.isfinite(getattr(epoch, name)) for epoch in epochs):
            del columns[name]
    count = min(len(epochs), ROWS)
    chosen = [epochs[round(i * (len(epochs) - 1) / max(count - 1, 1))] for i in range(count)]
    rows = [[_number(getattr(epoch, name)) for name in columns] for epoch in chosen]
    return _table(list(columns.values()), rows) if rows else ""


def _statistics(statistics: PairedStatistics, scorer: str) -> str:
    spec = rewards.find(scorer)
    unit, decimals, minus_a_size = (spec.unit, spec.decimals, spec.minus_a_size) if spec else ("", 2, False)
    sentence = describe(statistics, scorer, unit, decimals, minus_a_size)
    rows = [
        ["seeds", str(statistics.n)],
        ["mean score of the base", _number(statistics.mean_base)],
        ["mean score of this model", _number(statistics.mean_tuned)],
        ["mean difference", _number(statistics.mean_difference)],
        ["its 95% interval", f"{_number(statistics.interval_low)} to {_number(statistics.interval_high)}"],
        ["gain in standard deviations of the base's scores", _number(statistics.gain_in_sd)],
    ]
    return f"\n## Compared with the base, seed by seed\n\n{sentence}\n\n{_table([scorer, ''], rows)}\n"


def _made(run: Run) -> str:
    result, planned, spec = run.result_facts(), run.status().epochs, rewards.find(run.spec.reward)
    early = "" if result.epoch >= planned else f" of {planned} that were planned"
    versions = ", ".join(f"{name} {number}" for name, number in _versions(run).items())
    facts = {
        "Base": _base(run),
        "Reward": _reward(run.spec.reward) + (f". {spec.description} {spec.source}." if spec else ""),
        "Algorithm": f"`{run.spec.config.algorithm}`, recipe `{run.spec.recipe}`",
        "Trained": f"{epochs_in_words(result.epoch)}{early}, {in_words(result.seconds)}, on {run.created[:10]}",
        "Software": versions,
    }
    return "\n".join(f"- **{name}:** {fact}" for name, fact in facts.items() if fact)


def _versions(run: Run) -> dict[str, str]:
    from ddpo.common.files import read_json

    try:
        versions = read_json(run.folder / "run.json").get("versions")
    except (OSError, ValueError):
        return {}
    return versions if isinstance(versions, dict) else {}


def _settings(run: Run) -> str:
    values = asdict(run.spec.config)
    return _table(["setting", "value", ""], [[f"`{s.name}`", f"`{values[s.name]}`", s.help] for s in settings()])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) and math.isfinite(value) else "not known"


def _one_line(text: str) -> str:
    return " ".join(text.replace("`", "'").split())

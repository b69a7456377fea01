"""The settings of runs as tables: all of one run, and the differences between some."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ddpo.runs.store import Run
from ddpo.training.recipes import RECIPES
from ddpo.ui.train import actions
from ddpo.ui.train.groups import GROUPS


def settings(run: Run) -> str:
    """All settings of a run in their groups; those that differ from its recipe are marked."""
    config, recipe = run.spec.config, RECIPES.get(run.spec.recipe)
    parts = []
    for group, names in GROUPS.items():
        rows = []
        for name, title in names.items():
            value = getattr(config, name)
            usual = getattr(recipe.config, name) if recipe else value
            other = f" <small>recipe: {_shown(usual)}</small>" if usual != value else ""
            changed = ' class="changed"' if other else ""
            rows.append(
                f'<tr{changed}><th scope="row">{escape(title)} <code>{name}</code></th>'
                f"<td>{_shown(value)}{other}</td></tr>"
            )
        parts.append(f"<table><caption>{escape(group)}</caption><tbody>{''.join(rows)}</tbody></table>")
    return f'<div class="run-settings">{"".join(parts)}</div>'


def differences(runs: Sequence[Run], titles: Sequence[str]) -> str:
    """What some runs were told differently, a column each."""
    rows = [(title, name, [_what(run, name) for run in runs]) for title, name in _WHAT.items()]
    for names in GROUPS.values():
        rows += [(title, name, [getattr(run.spec.config, name) for run in runs]) for name, title in names.items()]
    differing = [(title, name, values) for title, name, values in rows if any(value != values[0] for value in values)]
    if not differing:
        return '<p class="hint">These runs have the same settings.</p>'
    head = "".join(f'<th scope="col"><i class="s{i}"></i>{escape(title)}</th>' for i, title in enumerate(titles))
    body = "".join(
        f'<tr><th scope="row">{escape(title)} <code>{name}</code></th>'
        f"{''.join(f'<td>{_shown(value)}</td>' for value in values)}</tr>"
        for title, name, values in differing
    )
    table = f'<table><thead><tr><th scope="col">Setting</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<h3>Their settings differ in</h3><div class="wide" tabindex="0">{table}</div>'


_WHAT = {"Base": "base", "Reward": "reward", "Recipe": "recipe"}


def _what(run: Run, name: str) -> str:
    return actions.base_title(run.spec) if name == "base" else str(getattr(run.spec, name))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(f"{value:.6g}" if isinstance(value, float) else str(value))

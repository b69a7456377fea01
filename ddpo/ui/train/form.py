"""The controls of the Train tab: what to train, made from the catalogue, the rewards, the recipes and the config."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from ddpo import rewards
from ddpo.common.machine import hourly_price, on_space, on_zero_gpu
from ddpo.diffusion.catalogue import DEFAULT_PAIR, PAIRS, bases
from ddpo.diffusion.network import read_network
from ddpo.errors import UserError
from ddpo.hub import ids
from ddpo.runs import startable
from ddpo.runs.estimate import estimate
from ddpo.runs.store import RunSpec, list_runs, runs_root
from ddpo.training.config import settings
from ddpo.training.recipes import RECIPES
from ddpo.training.setting import Setting
from ddpo.ui.shared import scorer_fields
from ddpo.ui.shared.events import QUICK
from ddpo.ui.shared.inputs import OpenDropdown, OpenNumber
from ddpo.ui.space import asker, permission, quota, slices
from ddpo.ui.space.asker import Asker
from ddpo.ui.train import actions, views
from ddpo.ui.train.groups import GROUPS, TITLES, out_of_use

logger = logging.getLogger("ddpo.ui")

PLAIN = {  # settings that stand outside the drawer, with their names in plain words
    "epochs": "Epochs",
    "learning_rate": "Learning rate",
    "kl_weight": "KL weight: how strongly to stay near the base",
}
_BY_NAME = {setting.name: setting for setting in settings()}
_DRAWER = {title: [name for name in group if name not in PLAIN] for title, group in GROUPS.items()}
ORDER = (*PLAIN, *(name for group in _DRAWER.values() for name in group))


COUNT = 7 + len(ORDER)  # controls


@dataclass(frozen=True)
class Form:
    """The controls; `values` lists them in the order in which handlers get them and `read` takes them."""

    pair: OpenDropdown
    reward: OpenDropdown
    like: gr.Textbox  # the sentences of a reward that takes some
    unlike: gr.Textbox
    recipe: OpenDropdown
    minutes: OpenNumber
    base: gr.Textbox
    settings: list[Any]  # components, in ORDER
    estimate: gr.HTML

    @property
    def values(self) -> list[Any]:
        """All controls."""
        return [
            self.pair, self.reward, self.like, self.unlike, self.recipe, self.minutes, self.base, *self.settings
        ]  # fmt: skip


def build() -> Form:
    """Lay the controls out and connect them with each other."""
    first = RECIPES["zerogpu" if on_zero_gpu() else "quick"]
    with gr.Group(elem_id="train-settings"):
        pair = OpenDropdown(list(bases().items()), value=DEFAULT_PAIR, label="Base model", elem_id="train-pair")
        reward = OpenDropdown(
            rewards.choices(with_words=True), value="photographic", label="Reward", elem_id="train-reward"
        )
        about = gr.HTML(_about_reward("photographic"), elem_classes="about")
        like, unlike = scorer_fields.fields(reward, "train")
        recipes = [(recipe.title, recipe.name) for recipe in RECIPES.values()]
        recipe = OpenDropdown(recipes, value=first.name, label="Recipe", elem_id="train-recipe")
        about_recipe = gr.HTML(_about_recipe(first.name), elem_classes="about")
        plain = [_control(_BY_NAME[name], getattr(first.config, name), label) for name, label in PLAIN.items()]
        minutes = OpenNumber(
            _longest() or 0, label="Time budget in minutes (0: no limit)", elem_id="train-minutes", min_width=80
        )
    with gr.Accordion("A model of your own", open=False):
        base = gr.Textbox(label="Model", placeholder="owner/name", elem_id="train-base")
        folder = "" if on_space() else ", or a folder on the machine that runs this app"
        gr.HTML(f'<p class="hint">Id of an unconditional model on the Hugging Face Hub{folder}.</p>')
    rest = []
    with gr.Accordion("All settings", open=False, elem_id="all-settings"):
        for title, names in _DRAWER.items():
            gr.HTML(f"<h3>{title}</h3>", elem_classes="group-title")
            with gr.Group(elem_classes="settings-group"):
                rest += [_control(_BY_NAME[name], getattr(first.config, name)) for name in names]
    # `train.build` puts it where Start is
    line = gr.HTML(elem_id="train-estimate", js_on_load="studio.fields(element)", render=False)
    form = Form(pair, reward, like, unlike, recipe, minutes, base, [*plain, *rest], line)
    _connect(form, about, about_recipe)
    return form


def _control(setting: Setting, value: Any, label: str | None = None) -> Any:
    """The control of a setting, whose value `make_config` checks."""
    name, about = f"setting-{setting.name}", None if label else setting.help
    label = label or f"{TITLES[setting.name]} · {setting.name}"
    if setting.kind is bool:
        return gr.Checkbox(value, label=label, info=about, elem_id=name)
    if setting.choices:
        return OpenDropdown(list(setting.choices), value=value, label=label, info=about, elem_id=name)
    return OpenNumber(value, label=label, info=about, elem_id=name, min_width=80)


def _connect(form: Form, about_reward: gr.HTML, about_recipe: gr.HTML) -> None:
    form.reward.input(_about_reward, form.reward, about_reward, **QUICK)
    form.recipe.input(_on_recipe, form.recipe, [about_recipe, *form.settings], **QUICK)
    gr.on(  # however a value came there: typed, pasted, put right by the control, or filled in by a recipe
        [control.change for control in form.values], told, form.values, form.estimate,
        trigger_mode="always_last", **QUICK,
    )  # fmt: skip


def read(who: Asker, values: Sequence[Any]) -> tuple[RunSpec, Any]:
    """What to train, and the time budget in minutes as it was given, from the values of `Form.values`.

    Raises:
        UserError: a value is not acceptable.
    """
    pair, reward, like, unlike, recipe, minutes, base, *rest = values
    given = dict(zip(ORDER, rest, strict=True))
    for name, value in given.items():
        if value is None:
            raise UserError(f"{PLAIN.get(name, name).partition(':')[0]} is empty; give a number.")
    reward = scorer_fields.full_name(reward, like, unlike)
    return actions.make_spec(who, pair, base, reward, recipe, given), minutes or None


def told(request: gr.Request | None, profile: gr.OAuthProfile | None, *values: Any) -> str:
    """How long a run with these values takes, what it costs on ZeroGPU, or why it cannot be started.

    With it comes what the page says beside its fields: which are wrong, and which are out of use.
    """
    wrong = ""
    try:
        _check_at_hand(values[0], values[6])
        spec, minutes = read(asker.who(request, profile), values)
        budget = permission.time_budget(minutes)
        if on_zero_gpu():
            line = quota.run_line(slices.plan(spec), profile)
        else:
            found = estimate(spec.config, read_network(spec.base), spec.base, list_runs(runs_root()))
            line = views.estimate_line(found, spec.config, budget, hourly_price())
    except UserError as error:
        wrong, line = str(error), views.problem_line(str(error))
    return line + _beside_fields(dict(zip(ORDER, values[-len(ORDER) :], strict=True)), wrong)


def _check_at_hand(pair: Any, base: Any) -> None:
    """Before its memory is looked at: raises UserError for a model on the Hub that cannot be had now."""
    source = base or (PAIRS[pair].base if isinstance(pair, str) and pair in PAIRS else "")
    if isinstance(source, str) and ids.parse(source) is not None:
        startable.check_at_hand(source)


def _beside_fields(given: Mapping[str, Any], sentence: str) -> str:
    """For the browser: the sentence with the fields that it names, and those that are out of use with the reason."""
    told = re.split("[:;]", sentence)[0]
    named = [name for name in re.findall(r"\w+_\w+|^\w+", told) if name in _BY_NAME]  # "weights" is a common word too
    empty = [name for name, value in given.items() if value is None and sentence]
    if empty:
        named = empty
    beside = {"sentence": sentence, "wrong": list(dict.fromkeys(named)), "unused": out_of_use(given)}
    return f'<span hidden data-fields="{escape(json.dumps(beside))}"></span>'


def _longest() -> float | None:
    try:
        return permission.longest_minutes()
    except UserError as error:
        logger.warning("%s Nothing can be started until it is.", error)
        return None


def _on_recipe(name: Any) -> list[Any]:
    recipe = RECIPES.get(name) if isinstance(name, str) else None
    if recipe is None:
        return [gr.skip()] * (1 + len(ORDER))
    return [_about_recipe(name), *(getattr(recipe.config, setting) for setting in ORDER)]


def filled(who: Asker, spec: RunSpec) -> list[Any]:
    """Updates of all controls that ask for a run as this one was; a folder that this asker may not name is left out.

    Args:
        who: asks for it.
        spec: of the run.
    """
    config, skipped = spec.config, gr.skip()
    name, _, words = spec.reward.partition(":")
    known = name in rewards.REWARDS
    like, _, unlike = words.partition("|")
    spoken = gr.update(visible=bool(words) and known)
    base = ""
    if spec.pair not in bases().values():
        permission.check_source(spec.base, who)
        base = spec.base
    return [
        skipped if base else spec.pair,
        name if known else skipped,
        {**spoken, "value": like},
        {**spoken, "value": unlike},
        spec.recipe if spec.recipe in RECIPES else skipped,
        skipped,
        base,
        *(getattr(config, setting) for setting in ORDER),
    ]


def _about_reward(name: Any) -> str:
    known = isinstance(name, str) and name in rewards.REWARDS
    return f'<p class="hint">{rewards.REWARDS[name].description}</p>' if known else ""


def _about_recipe(name: str) -> str:
    return f'<p class="hint">{RECIPES[name].description}</p>'

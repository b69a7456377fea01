"""What a button costs on ZeroGPU, in a line beside it: the seconds of GPU that it asks for, and what a day allows.

Elsewhere there is no such line. Who looks at the page is known only if they have signed in to this Space; ZeroGPU goes
by the account at huggingface.co, so without that the line tells what every kind of account allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import gradio as gr

from ddpo.common.lent_gpu import ACCOUNTS, FREE, PRO, Account
from ddpo.common.machine import on_zero_gpu
from ddpo.runs.gpu_plan import RunPlan
from ddpo.ui.shared.events import QUICK
from ddpo.ui.space import zero_gpu

ABOUT = (
    "A day's GPU time is for all ZeroGPU Spaces together and goes by the account signed in at huggingface.co. "
    "The time used is charged; the time asked for has to be left."
)


def accounts(profile: gr.OAuthProfile | None) -> tuple[Account, ...]:
    """The kinds of account that a visitor may have, from the least.

    Hugging Face tells of who has signed in whether they have PRO (`isPro`); an organization may be a paying one.
    """
    if profile is None:
        return ACCOUNTS
    if profile.get("isPro") is True:
        return (PRO,)
    return (FREE,) if profile.get("isPro") is False and not profile.get("orgs") else (FREE, PRO)


def call_line(seconds: float, profile: gr.OAuthProfile | None) -> str:
    """What one call costs.

    Args:
        seconds: that its work takes.
        profile: of the visitor; None where nobody has signed in.
    """
    return calls_line([seconds], profile)


def calls_line(each: Sequence[float], profile: gr.OAuthProfile | None) -> str:
    """What several calls cost, one after another.

    Args:
        each: seconds that the work of each takes.
        profile: of the visitor; None where nobody has signed in.
    """
    asked, calls = sum(map(zero_gpu.asked, each)), f" in {len(each)} calls" if len(each) > 1 else ""
    held = [(account, account.seconds // asked) for account in accounts(profile)]
    none = [account for account, times in held if times == 0]
    some = [(account, times) for account, times in held if times > 0]
    texts = [f"{times} {account.name}" for account, times in some]
    if texts:  # the first tells what is counted
        account, times = some[0]
        texts[0] = f"{times} {'time' if times == 1 else 'times'} {account.name}"
    allowed = f"A day allows it {_listed(texts)}." if texts else ""
    if none:
        allowed = f"That is more than a day allows {none[-1].name}. {allowed}".strip()
    return _line(f"Up to <b>{asked} s of GPU</b>{calls}. {escape(allowed)}")


def run_line(plan: RunPlan, profile: gr.OAuthProfile | None, begun: bool = False) -> str:
    """What a run costs, in slices, or what is left of one.

    Args:
        plan: of the run, or of its rest.
        profile: of the visitor; None where nobody has signed in.
        begun: whether some of it is done.
    """
    slices, seconds = plan.slices, plan.each.seconds
    room = max(0.0, plan.each.training - 2 * plan.saving)
    if not plan.fits:
        return _line(
            f"A step of this run takes about {plan.longest_step:.0f} s on ZeroGPU's GPU, and a slice of {seconds} s "
            f"leaves {room:.0f} s for it: lower batch_size, or choose another recipe.",
            "problem",
        )
    count = "1 slice" if slices == 1 else f"{slices} slices"
    more = " more" if begun else ""
    source = "by its epochs so far" if plan.measured else "by the GPU's assumed speed"
    cost = f"About <b>{count}{more} of {seconds} s of GPU</b>, {source}."
    return _line(f"{cost} {escape(_day(plan, accounts(profile)))}")


def _day(plan: RunPlan, kinds: Sequence[Account]) -> str:
    texts = []
    for account in kinds:
        held = account.seconds // plan.each.seconds
        if held >= plan.slices:
            texts.append(f"all of it {account.name}")
            break
        texts.append(f"{held} {account.name}, about {plan.epochs_in(held)} of {plan.epochs} epochs")
    return f"A day allows {'; '.join(texts)}."


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts[:-1]) + f" and {texts[-1]}" if len(texts) > 1 else texts[0]


def _line(text: str, kind: str = "") -> str:
    return f'<p class="hint quota {kind}" title="{escape(ABOUT)}">{text.strip()}</p>'


def follow(line: gr.HTML, inputs: Sequence[gr.components.Component], say: Callable[..., str]) -> None:
    """Say a line when the page is loaded and whenever an input changes. Elsewhere than on ZeroGPU, do nothing."""
    if on_zero_gpu():
        gr.on(None, say, list(inputs), line, trigger_mode="always_last", **QUICK)


def build(elem_id: str) -> gr.HTML:
    """The empty line; invisible but on ZeroGPU."""
    return gr.HTML(visible=on_zero_gpu(), elem_id=elem_id)

"""The noise schedulers by name. All are diffusers' own; adding one is one more entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ddpo.common.words import is_finite, shown
from ddpo.errors import UserError


@dataclass(frozen=True)
class SchedulerSpec:
    """What a scheduler is called, where it comes from and which options it takes."""

    name: str
    title: str
    description: str  # one sentence for the page, with the paper
    class_name: str  # in diffusers
    default_steps: int
    stochastic: bool = False  # draws noise at every step
    takes_eta: bool = False
    min_steps: int = 1
    evaluations: int = 1  # of the network in a step
    options: Mapping[str, Any] = field(default_factory=dict)  # set on top of the model's own scheduler config
    enough: int | None = None  # steps that score church-64 as 50 do (benchmarks/schedulers.py); None: not measured


# Timesteps so that sigma falls as Karras et al. 2022 (arXiv 2206.00364, eq. 5) have it. From 8 steps on, church-64
# scores higher with it under each of the three that take it (benchmarks/schedulers.py).
KARRAS: Mapping[str, Any] = {"use_karras_sigmas": True}

SCHEDULERS: dict[str, SchedulerSpec] = {
    spec.name: spec
    for spec in (
        SchedulerSpec(
            "ddpm", "DDPM", "Ancestral sampling, new noise at every step (Ho et al. 2020).",
            "DDPMScheduler", default_steps=1000, stochastic=True,
        ),
        SchedulerSpec(
            "ddim", "DDIM", "Deterministic at eta 0, as noisy as DDPM at eta 1 (Song et al. 2021).",
            "DDIMScheduler", default_steps=50, stochastic=True, takes_eta=True, enough=20,
        ),
        SchedulerSpec(
            "pndm", "PNDM", "Pseudo numerical method with Runge-Kutta warm-up (Liu et al. 2022).",
            "PNDMScheduler", default_steps=50, min_steps=4,
        ),
        SchedulerSpec(
            "dpm-solver++", "DPM-Solver++", "Multistep exponential integrator of second order (Lu et al. 2022).",
            "DPMSolverMultistepScheduler", default_steps=50, enough=8,
            options={"algorithm_type": "dpmsolver++", **KARRAS},
        ),
        SchedulerSpec(
            "unipc", "UniPC", "Unified predictor-corrector of second order (Zhao et al. 2023).",
            "UniPCMultistepScheduler", default_steps=50, enough=8, options=KARRAS,
        ),
        SchedulerSpec(
            "heun", "Heun", "Heun's method, two evaluations a step (Karras et al. 2022).",
            "HeunDiscreteScheduler", default_steps=50, evaluations=2, enough=8, options=KARRAS,
        ),
    )
}  # fmt: skip
MAX_STEPS = 1000
# What makes a model's noise schedule; schedulers that lack one of these in a config would take another default each.
NOISE_SCHEDULE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")


def get_scheduler(name: str) -> SchedulerSpec:
    """The scheduler of that name.

    Raises:
        UserError: there is no such scheduler.
    """
    if not isinstance(name, str) or name not in SCHEDULERS:
        raise UserError(f"There is no scheduler called {shown(name)}; choose one of: {', '.join(SCHEDULERS)}.")
    return SCHEDULERS[name]


def check_steps(spec: SchedulerSpec, steps: int) -> int:
    """The number of denoising steps, if the scheduler can take it.

    Raises:
        UserError: it is not a whole number in spec.min_steps .. MAX_STEPS.
    """
    if not is_finite(steps) or int(steps) != steps or not spec.min_steps <= steps <= MAX_STEPS:
        raise UserError(
            f"{spec.title} takes a whole number of steps from {spec.min_steps} to {MAX_STEPS}, and {shown(steps)} is "
            "not one."
        )
    return int(steps)


def check_eta(spec: SchedulerSpec, eta: float) -> float:
    """The DDIM noise share eta, if it is in [0, 1]; schedulers without eta take any such value and ignore it.

    Raises:
        UserError: it is outside [0, 1].
    """
    if not 0.0 <= eta <= 1.0:
        raise UserError(f"eta must be between 0 (deterministic) and 1 (as noisy as DDPM), and {shown(eta)} is not.")
    return float(eta)


def create_scheduler(spec: SchedulerSpec, model_config: Mapping[str, Any], steps: int) -> Any:
    """A diffusers scheduler with the model's own noise schedule, set to a number of steps.

    Args:
        spec: which one.
        model_config: the scheduler config that came with the model. Betas, timesteps and prediction type are taken from
            it whichever scheduler is picked, variance type and clip_sample by those that have them (DDPM; clip_sample
            also DDIM and Heun). Betas that it does not name are DDPM's.
        steps: denoising steps.

    Raises:
        UserError: it cannot take that number of steps.
    """
    import diffusers

    schedule = diffusers.DDPMScheduler.from_config(dict(model_config)).config
    config = {**{key: schedule[key] for key in NOISE_SCHEDULE}, **model_config}
    scheduler = getattr(diffusers, spec.class_name).from_config(config, **spec.options)
    steps = check_steps(spec, steps)
    if steps > scheduler.config.num_train_timesteps:
        raise UserError(
            f"This model knows {scheduler.config.num_train_timesteps} timesteps, so {steps} steps are too many."
        )
    scheduler.set_timesteps(steps)
    return scheduler

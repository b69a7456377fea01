"""What the command line shows of a run while it trains, and what a tracker gets."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ddpo.errors import UserError

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ddpo.runs.store import Run
    from ddpo.training.events import EpochMetrics, StepDone
    from ddpo.training.held_out_curve import HeldOutEvaluation

PROJECT = "ddpo-studio"  # that trackers keep the runs under


class Reporter:
    """Tells of the steps: a bar on a terminal, a line an epoch otherwise, and the tracker where there is one."""

    def __init__(self, run: Run, tracked: Accelerator | None) -> None:
        self.run, self.tracked = run, tracked
        self.bar: Any = None
        if tracked is not None:
            self._start_tracker(tracked)

    def _start_tracker(self, tracked: Accelerator) -> None:
        folder = "tensorboard" in map(
            str, tracked.log_with
        )  # it has a folder for each run, the others a project of many
        named = {"name": self.run.id}
        try:
            tracked.init_trackers(
                self.run.id if folder else PROJECT,
                config=asdict(self.run.spec.config),
                init_kwargs={"wandb": named, "trackio": named},
            )
        except Exception as error:  # no login, no network: each has errors of its own
            said = " ".join(str(error).split())
            raise UserError(f"The tracker cannot be started: {said.rstrip('.')}; leave --log-with out.") from error

    def on_step(self, event: StepDone) -> None:
        """One step is done and on disk."""
        if sys.stderr.isatty():
            self._show(event)
        if event.finished_epoch is not None:
            if self.bar is None:
                print(epoch_line(event.finished_epoch), flush=True)
            self._track(asdict(event.finished_epoch), event.step)
        if event.evaluation is not None:
            if self.bar is None:
                print(evaluation_line(event.evaluation), flush=True)
            self._track({f"held_out_{name}": value for name, value in asdict(event.evaluation).items()}, event.step)

    def _show(self, event: StepDone) -> None:
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(total=event.steps, initial=event.step - 1, unit="step", dynamic_ncols=True)
        self.bar.update(event.step - self.bar.n)
        self.bar.set_description(f"epoch {event.epoch}, {event.kind}")
        if event.finished_epoch is not None:
            self.bar.write(epoch_line(event.finished_epoch))
        if event.evaluation is not None:
            self.bar.write(evaluation_line(event.evaluation))

    def _track(self, metrics: dict[str, Any], step: int) -> None:
        if self.tracked is not None:
            figures = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
            values = {name: value for name, value in figures.items() if math.isfinite(value)}
            self.tracked.log(values, step=step)

    def close(self) -> None:
        """Take the bar away and close the tracker."""
        if self.bar is not None:
            self.bar.close()
        if self.tracked is not None:
            self.tracked.end_training()


def epoch_line(metrics: EpochMetrics) -> str:
    """The figures of an epoch, in a line."""
    m = metrics
    # With algorithm draft there is no policy, and so no KL.
    far = f"kl {m.kl:.2e}" if math.isnan(m.output_change) else f"change {m.output_change:.2e}"
    return (
        f"epoch {m.epoch}/{m.epochs}  reward {m.reward_mean:.3f} ± {m.reward_std:.3f}  {far}  "
        f"diversity {m.diversity:.0%}  {m.samples_per_second:.1f} samples/s"
    )


def evaluation_line(evaluation: HeldOutEvaluation) -> str:
    """What the held-out seeds say, in a line."""
    e = evaluation
    return (
        f"held out, {e.when}  reward {e.reward_mean:.3f} ± {e.reward_std:.3f}  "
        f"gain {e.gain:+.2f} ± {e.gain_noise:.2f}  diversity {e.diversity:.0%}"
    )

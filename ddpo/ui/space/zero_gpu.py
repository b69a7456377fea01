"""ZeroGPU, where a Space borrows a GPU for one call at a time. Everywhere else, nothing here has any effect.

What is relied on, as the package `spaces` has it:

- A decorated function runs in a fork of this process that has the GPU, for as many seconds as were asked for. Only
  there may CUDA be touched; here `torch.cuda.is_available()` is True all the same. Arguments and results are pickled.
- Models that the main thread puts on "cuda" before `launch()` are kept aside and are on the GPU when the call begins.
  So `preload` does that for the pair that the page opens with and its scorer; others are read from the disk within the
  call, which is charged for it.
- A call asks for its duration times a factor that depends on the GPU, see `lent_gpu`: `asked` is what is asked for.
- A generator is closed at its next `yield` after its visitor has gone, so it should yield often.
- Of the errors only Gradio's own come back whole, so a sentence for the user is handed back as a result.
- There must be a decorated function at `launch()`, so functions are decorated where they are defined.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import gradio as gr

from ddpo import rewards
from ddpo.common import lent_gpu
from ddpo.common.machine import on_zero_gpu
from ddpo.errors import UserError
from ddpo.runs.estimate import weights_megabytes

logger = logging.getLogger("ddpo.ui")

P = ParamSpec("P")
R = TypeVar("R")
set_aside: set[object] = set()  # models and weights that are on the GPU when a call begins


class NoGpu(UserError):  # noqa: N818, it is no error but a state
    """No GPU was lent, or it was taken back before the call was done."""


@dataclass(frozen=True)
class _Trouble:
    """What went wrong where the GPU is."""

    sentence: str | None  # for the user; None: unexpected, and in the log


def lent(seconds: Callable[P, float]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: on ZeroGPU, run a function or a generator where the GPU is.

    Args:
        seconds: how long it will take, from the same arguments, without `lent_gpu.SECONDS_TO_BEGIN`.

    Raises (when the decorated function is called there):
        NoGpu: no GPU was to be had, or not for so long.
        UserError: what the function itself raises.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if not on_zero_gpu():
            return function
        import spaces

        def duration(*args: P.args, **kwargs: P.kwargs) -> int:
            return _duration(seconds(*args, **kwargs))

        kind = _lent_generator if inspect.isgeneratorfunction(function) else _lent_function
        return cast(Callable[P, R], kind(function, spaces.GPU(duration=duration)))

    return decorate


def asked(seconds: float) -> int:
    """Seconds of quota that a call asks for, of which the work takes that many; on ZeroGPU only."""
    return round(_duration(seconds) * duration_factor())


def _duration(seconds: float) -> int:
    """What `spaces` has to be given, so that it asks for the work's seconds and those to begin."""
    return math.ceil((lent_gpu.SECONDS_TO_BEGIN + seconds) / duration_factor())


def duration_factor() -> float:
    """How many seconds `spaces` asks for instead of one, for the GPU of this Space."""
    try:
        from spaces.zero.config import get_config

        return float(get_config()["duration_factor"])
    except (ImportError, KeyError):  # releases before it had one
        return 1.0


def preload(*sources: str, scorer: str | None = None) -> None:
    """On ZeroGPU, put models where a borrowed GPU finds them. Call it on the main thread, before `launch()`.

    What cannot be loaded is left to the first call that needs it, which says why.

    Args:
        *sources: of models.
        scorer: name of a scorer whose network, if it has one, is put there too.
    """
    if not on_zero_gpu():
        return
    from ddpo.diffusion.models import cache
    from ddpo.diffusion.precision import choose_compute

    compute = choose_compute()
    for source in sources:
        with _left_for_later():
            cache.get(source, compute)
            set_aside.add(source)
    files = rewards.get(scorer).files if scorer else ()
    if scorer and files:
        with _left_for_later():
            rewards.load(scorer, compute)
            set_aside.update(files)


def loading_seconds(sources: Iterable[str], scorer: str | None = None) -> float:
    """How long a call reads models and a scorer's weights that `preload` has not put on the GPU.

    Args:
        sources: of models.
        scorer: name of a scorer.
    """
    megabytes = sum(weights_megabytes(source) for source in set(sources) - set_aside)
    files = rewards.get(scorer).files if scorer else ()
    megabytes += sum(file.megabytes for file in files if file not in set_aside)
    return megabytes / lent_gpu.MEGABYTES_READ


@contextmanager
def _left_for_later() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        logger.warning("Not loaded beforehand: %s", error)


def _lent_function(function: Callable[..., Any], gpu: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return _trouble(error)

    borrowed = gpu(inside)

    @wraps(function)
    def outside(*args: Any, **kwargs: Any) -> Any:
        with _refusals():
            result = borrowed(*args, **kwargs)
        return _unless_trouble(result)

    return outside


def _lent_generator(function: Callable[..., Any], gpu: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from function(*args, **kwargs)
        except Exception as error:
            yield _trouble(error)

    borrowed = gpu(inside)

    @wraps(function)
    def outside(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with closing(borrowed(*args, **kwargs)) as results:
            while True:
                with _refusals():
                    result = next(results, _END)
                if result is _END:
                    return
                yield _unless_trouble(result)

    return outside


_END = object()


def _trouble(error: Exception) -> _Trouble:
    if isinstance(error, UserError):
        return _Trouble(str(error))
    logger.error("Unexpected error on the borrowed GPU", exc_info=error)
    return _Trouble(None)


def _unless_trouble(result: Any) -> Any:
    if not isinstance(result, _Trouble):
        return result
    if result.sentence is None:
        raise RuntimeError("the call on the borrowed GPU failed; its traceback stands above in the log")
    raise UserError(result.sentence)


@contextmanager
def _refusals() -> Iterator[None]:
    """What ZeroGPU itself answers, such as that a quota is used up, as a sentence."""
    try:
        yield
    except gr.Error as error:
        text = " ".join(str(error.message).split())
        raise NoGpu(f"{error.title}: {text}{'' if text.endswith(('.', '!', '?')) else '.'}") from error

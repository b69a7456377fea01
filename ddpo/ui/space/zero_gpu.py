"""ZeroGPU, where a Space borrows a GPU for one call at a time. Everywhere else, nothing here has any effect.

What is relied on, as the package `spaces` has it:

- A decorated function runs in a fork of this process that has the GPU, for as many seconds as were asked for. Only
  there may CUDA be touched; here `torch.cuda.is_available()` is True all the same. Arguments and results are pickled.
- Models that the main thread puts on "cuda" before `launch()` are kept aside and are on the GPU when the call begins.
  So `preload` does that for the pair that the page opens with; others are loaded from the disk within the call.
- A generator is closed at its next `yield` after its visitor has gone, so it should yield often.
- Of the errors only Gradio's own come back whole, so a sentence for the user is handed back as a result.
- There must be a decorated function at `launch()`, so functions are decorated where they are defined.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import gradio as gr

from ddpo.common.machine import on_zero_gpu
from ddpo.errors import UserError

logger = logging.getLogger("ddpo.ui")

P = ParamSpec("P")
R = TypeVar("R")
SECONDS_TO_BEGIN = 15.0  # the process, CUDA and the models, within the time that the GPU is lent for


class NoGpu(UserError):  # noqa: N818, it is no error but a state
    """No GPU was lent, or it was taken back before the call was done."""


@dataclass(frozen=True)
class _Trouble:
    """What went wrong where the GPU is."""

    sentence: str | None  # for the user; None: unexpected, and in the log


def lent(seconds: Callable[P, float]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: on ZeroGPU, run a function or a generator where the GPU is.

    Args:
        seconds: how long it will take, from the same arguments, without SECONDS_TO_BEGIN.

    Raises (when the decorated function is called there):
        NoGpu: no GPU was to be had, or not for so long.
        UserError: what the function itself raises.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if not on_zero_gpu():
            return function
        import spaces

        def duration(*args: P.args, **kwargs: P.kwargs) -> int:
            return math.ceil(SECONDS_TO_BEGIN + seconds(*args, **kwargs))

        kind = _lent_generator if inspect.isgeneratorfunction(function) else _lent_function
        return cast(Callable[P, R], kind(function, spaces.GPU(duration=duration)))

    return decorate


def preload(*sources: str) -> None:
    """On ZeroGPU, put models where a borrowed GPU finds them. Call it on the main thread, before `launch()`.

    What cannot be loaded is left to the first call that needs it, which says why.
    """
    if not on_zero_gpu():
        return
    from ddpo.diffusion.models import cache
    from ddpo.diffusion.precision import choose_compute

    for source in sources:
        try:
            cache.get(source, choose_compute())
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

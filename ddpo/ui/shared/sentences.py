"""Errors as what a visitor or a program sees: one sentence, never a traceback."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr
from gradio.exceptions import InvalidPathError

from ddpo.common import memory
from ddpo.common.files import is_full
from ddpo.common.machine import on_space
from ddpo.errors import UserError

logger = logging.getLogger("ddpo.ui")

SECONDS_SHOWN = 6  # of an error's message, which mostly stands on the page too
UNEXPECTED = "Something went wrong on this side; the details are in the app's log. Please try again."
FULL = "A disk of the machine that runs this app is full, so nothing could be written; try again once there is room."
SHORT = "The memory of this machine is not enough for that; ask for fewer or smaller pictures, or try again later."
NOT_UPLOADED = "Only files that were uploaded here can be used; upload the file first."
_PATH = re.compile(r"(?<![\w/.:])(?:/[\w.@+-]+)+/([\w.@+-]+)")


@contextmanager
def sentences(title: str, for_page: bool = True) -> Iterator[None]:
    """Turns errors into what the visitor or the program sees: the sentence, and never a traceback.

    Args:
        title: of the message on the page.
        for_page: the page renders HTML, so the sentence is escaped for it.
    """
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        sentence = sentence_for(error)
        shown = escape(sentence, quote=False) if for_page else sentence
        raise gr.Error(shown, SECONDS_SHOWN, title=title, print_exception=False) from error


def sentence_for(error: Exception) -> str:
    """What to say of an error; one that nobody foresaw goes into the log."""
    if isinstance(error, UserError):
        return without_paths(str(error)) if on_space() else str(error)
    if memory.is_short(error):
        logger.warning("Out of memory: %s", error)
        return SHORT
    if isinstance(error, InvalidPathError):
        return NOT_UPLOADED
    if isinstance(error, OSError) and is_full(error):
        logger.warning("A disk is full: %s", error)
        return FULL
    logger.error("Unexpected error", exc_info=error)
    return UNEXPECTED


def without_paths(sentence: str) -> str:
    """The sentence with the last part of every absolute path in it alone: where things lie concerns no stranger."""
    return _PATH.sub(r"\1", sentence)

"""Errors as what a visitor or a program sees: one sentence, never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from ddpo.errors import UserError

logger = logging.getLogger("ddpo.ui")

SECONDS_SHOWN = 6  # of an error's message, which mostly stands on the page too
UNEXPECTED = "Something went wrong on this side; the details are in the app's log. Please try again."


@contextmanager
def sentences(title: str, for_page: bool = True) -> Iterator[None]:
    """Turns errors into what the visitor or the program sees: the sentence, and never a traceback.

    Args:
        title: of the message on the page.
        for_page: the page renders HTML, so the sentence is escaped for it.
    """
    try:
        yield
    except UserError as error:
        sentence = escape(str(error), quote=False) if for_page else str(error)
        raise gr.Error(sentence, SECONDS_SHOWN, title=title, print_exception=False) from error
    except gr.Error:
        raise
    except Exception as error:
        logger.exception("Unexpected error")
        raise gr.Error(UNEXPECTED, title=title, print_exception=False) from error

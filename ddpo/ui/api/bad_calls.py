"""Calls of the API that never reach an endpoint: Gradio's own answers to them, put into sentences.

Left alone, Gradio answers a misspelt name with "Internal Server Error" and too few values with the objects that it
wanted.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import gradio as gr

from ddpo.common.files import is_full
from ddpo.common.words import shown
from ddpo.ui.shared.sentences import sentence_for
from ddpo.ui.space.guarded import GuardedBlocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gradio.block_function import BlockFunction
    from starlette.requests import Request
    from starlette.responses import Response

CALLS = "/gradio_api/call/"


class Page(GuardedBlocks):
    """A page whose endpoints say how many values they take."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """As Gradio does it, with a sentence for programs that send a list of values.

        Raises:
            gr.Error: there are too few values.
        """
        wanted, given = len(block_fn.inputs), len(inputs)
        if block_fn.api_visibility == "public" and given < wanted:
            names = [p["parameter_name"] for p in parameters(self, str(block_fn.api_name))]
            raise gr.Error(
                f'"data" must hold {wanted} values, {", ".join(names)}, in this order, and {given} came. To give only '
                f"some of them, by name, POST to {CALLS}v2/{block_fn.api_name}.",
                print_exception=False,
            )
        super().validate_inputs(block_fn, inputs)

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Gradio does it; whatever goes wrong before and after a handler is a sentence too.

        Raises:
            gr.Error: with that sentence.
        """
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(sentence_for(error), print_exception=False) from error


def exception_handlers() -> dict[Any, Any]:
    """For the web application below Gradio: how it answers what `/call/...` trips over."""
    from gradio.route_utils import FnIndexInferError

    calls = dict.fromkeys((KeyError, TypeError, FnIndexInferError), _on_bad_call)
    return {**calls, OSError: _on_disk}


def parameters(blocks: gr.Blocks, endpoint: str) -> list[dict[str, Any]]:
    """The parameters of an endpoint, as its schema has them; none where there is no such endpoint."""
    found: Mapping[str, Any] = blocks.get_api_info()["named_endpoints"].get(f"/{endpoint}", {})
    return list(found.get("parameters", []))


async def _on_disk(request: Request, error: Exception) -> Response:
    """A sentence for an upload that the disk has no room for."""
    from starlette.responses import JSONResponse

    return JSONResponse({"detail": sentence_for(error)}, 507 if isinstance(error, OSError) and is_full(error) else 500)


async def _on_bad_call(request: Request, error: Exception) -> Response:
    """A sentence where a call names what there is not; anything else goes on as it came."""
    from starlette.responses import JSONResponse

    endpoint = request.path_params.get("api_name")
    if endpoint is None or not request.url.path.startswith(CALLS):
        raise error
    blocks: gr.Blocks = request.app.get_blocks()
    names = [name.removeprefix("/") for name in blocks.get_api_info()["named_endpoints"]]
    if endpoint not in names:
        sentence = f"There is no endpoint {shown(endpoint)}{_or_meant(endpoint, names)}; there are {', '.join(names)}."
        return JSONResponse({"detail": sentence}, 404)
    body = await request.json()
    wrong = wrong_names(endpoint, parameters(blocks, endpoint), body)
    if wrong is None:
        raise error
    return JSONResponse({"detail": wrong}, 422)


def wrong_names(endpoint: str, known: Iterable[Mapping[str, Any]], body: Mapping[str, Any]) -> str | None:
    """What is wrong with the names in a call; None where nothing is."""
    required = {p["parameter_name"]: not p["parameter_has_default"] for p in known}
    for name in body:
        if name not in required:
            return (
                f"{endpoint} has no parameter {shown(name)}{_or_meant(name, required)}; "
                f"it has {', '.join(required) or 'none'}."
            )
    missing = [name for name, needed in required.items() if needed and name not in body]
    return f"{endpoint} needs {' and '.join(missing)}." if missing else None


def _or_meant(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, names, 1)
    return f", did you mean {close[0]!r}" if close else ""

"""The endpoints as tools for language models, through the client of the protocol's own package."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.helpers.serving import RunningApp

pytest.importorskip("mcp")
TOOLS = {"compare", "evaluate", "score", "models", "run_status", "list_runs"}
TOOLS |= {f"{verb}_run" for verb in ("start", "stop", "resume", "rename", "delete")}


def ask(app: RunningApp, tool: str | None = None, **arguments: Any) -> Any:
    """The list of tools, or what a tool answers."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def session() -> Any:
        async with (
            streamablehttp_client(f"{app.url}/gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as client,
        ):
            await client.initialize()
            return await (client.call_tool(tool, arguments) if tool else client.list_tools())

    with ThreadPoolExecutor(1) as thread:  # since the one of the tests has a loop of its own, once a browser was in use
        return thread.submit(lambda: asyncio.run(session())).result()


def test_every_endpoint_is_a_tool_that_says_what_it_does_and_takes(app: RunningApp) -> None:
    tools = {tool.name: tool for tool in ask(app).tools}
    assert set(tools) == TOOLS
    for tool in tools.values():
        assert len(tool.description or "") > 80
        assert "required" not in tool.inputSchema or tool.name == "score"
        for name, schema in tool.inputSchema["properties"].items():
            assert schema.get("description"), (tool.name, name)
    assert "95% interval" in tools["compare"].description
    assert "PNG" in tools["score"].inputSchema["properties"]["image"]["description"]


def test_a_model_can_compare(app: RunningApp) -> None:
    answer = ask(app, "compare", samples=1, steps=2, seed=7)
    assert not answer.isError
    text = " ".join(content.text for content in answer.content)
    addresses = re.findall(rf"{app.url}/[^'\" ]*\.png", text)
    assert len(addresses) == 2 and len(set(addresses)) == 2
    for address in addresses:
        with urllib.request.urlopen(address, timeout=10) as picture:
            assert picture.read().startswith(b"\x89PNG")
    assert "'seeds': [7]" in text and "'sentence': " in text


def test_a_refusal_reaches_the_model_as_a_sentence(app: RunningApp) -> None:
    answer = ask(app, "compare", samples=0)
    (content,) = answer.content
    assert answer.isError and "from 1 to 16" in content.text and "Traceback" not in content.text

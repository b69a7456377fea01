"""Requests at the doors of a served app, as somebody may send them: with any Host, from any address, by any site."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from tests.helpers.serving import RunningApp

SECONDS = 120
# uvicorn closes a connection that has been idle for 5 s, and a request that is sent on it just then is lost.
LIMITS = httpx.Limits(keepalive_expiry=2)


def network_address() -> str | None:
    """An address of this machine that is no loopback one; None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


@dataclass
class Knocker:
    """Somebody who sends requests: to which address, with which headers and cookies."""

    app: RunningApp
    address: str = "127.0.0.1"
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""  # of the names of tools, which on a Space begin with its own

    @property
    def port(self) -> int:
        return int(self.app.url.rpartition(":")[2])

    @cached_property
    def client(self) -> httpx.Client:
        headers = {name: value.format(port=self.port) for name, value in self.headers.items()}
        url = f"http://{self.address}:{self.port}"
        return httpx.Client(base_url=url, headers=headers, cookies=dict(self.cookies), timeout=SECONDS, limits=LIMITS)

    @cached_property
    def config(self) -> dict[str, Any]:
        """What the page is made of, as the app's own machine gets it."""
        found: dict[str, Any] = httpx.get(f"{self.app.url}/config", timeout=SECONDS).json()
        return found

    @cached_property
    def info(self) -> dict[str, Any]:
        """The endpoints and their parameters, as the app's own machine gets them."""
        found: dict[str, Any] = httpx.get(f"{self.app.url}/gradio_api/info", timeout=SECONDS).json()
        return found

    def call(self, endpoint: str, **values: Any) -> str:
        """What an endpoint answers, or why it was not called, as text."""
        answer = self.client.post(f"/gradio_api/call/v2/{endpoint}", json=values)
        if answer.status_code != 200:
            return answer.text
        return last_event(self.client, f"/gradio_api/call/{endpoint}/{answer.json()['event_id']}")

    def join(self, endpoint: str, session: str, **values: Any) -> httpx.Response:
        """Put a call of an endpoint into the queue, in a session of one's own choosing."""
        event = next(found for found in self.config["dependencies"] if found["api_name"] == endpoint)
        known = self.info["named_endpoints"][f"/{endpoint}"]["parameters"]
        data = [values.get(one["parameter_name"], one["parameter_default"]) for one in known]
        return self.client.post(
            "/gradio_api/queue/join", json={"data": data, "fn_index": event["id"], "session_hash": session}
        )

    def press(self, handler: str, address: str = "", **values: Any) -> str:
        """What one of the page's own handlers answers.

        Args:
            handler: name of its function.
            address: the page's parameters, as in "?tab=train".
            **values: in place of the page's own, by the `elem_id` of the control with _ for -.
        """
        event = next(found for found in self.config["dependencies"] if found["api_name"] == handler)
        controls = {control["id"]: control for control in self.config["components"]}
        data = []
        for id in event["inputs"]:
            props = controls[id]["props"]
            data.append(values.get(str(props.get("elem_id")).replace("-", "_"), props.get("value")))
        session = uuid.uuid4().hex
        body = {"data": data, "fn_index": event["id"], "session_hash": session, "trigger_id": None}
        answer = self.client.post(f"/gradio_api/queue/join{address}", json=body)
        if answer.status_code != 200:
            return answer.text
        return last_event(self.client, f"/gradio_api/queue/data?session_hash={session}")

    def use_tool(self, tool: str, **arguments: Any) -> str:
        """What a tool for language models answers."""
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": self.prefix + tool, "arguments": arguments},
        }
        accept = {"Accept": "application/json, text/event-stream"}
        return self.client.post("/gradio_api/mcp/", json=call, headers=accept).text


def last_event(client: httpx.Client, path: str) -> str:
    """The last event of a stream that says anything."""
    last = ""
    with client.stream("GET", path) as stream:
        if stream.status_code != 200:
            return stream.read().decode()
        for line in stream.iter_lines():
            if line.startswith("data:") and "close_stream" not in line and line != "data: null":
                last = line.removeprefix("data:").strip()
    return json.dumps(json.loads(last), ensure_ascii=False) if last.startswith(("{", "[")) else last

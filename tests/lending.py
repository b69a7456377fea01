"""A stand-in of the service from which a Space on ZeroGPU borrows its GPU, and the app served beside it.

The package `spaces` is the real one: it asks this service, forks, and carries arguments and results over. As there is
no GPU, the fork skips its two steps that would initialise CUDA and fill it, and computes on the CPU.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

LENT = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "", "allowToken": "token"}

# What the app is started with, as `python app.py` does it. A build of torch without CUDA lacks what `spaces` looks for.
START = """
import torch
if not torch.version.cuda:
    torch.version.cuda, torch._C._cuda_init, torch.cuda._is_in_bad_fork = "13.0", None, bool
import spaces.zero.torch as lent
lent.init = lent.move = lambda *args, **kwargs: None
import app
app.serve(app.demo)
"""


class Lender:
    """Records what it is asked for, and lends as long as it is told to."""

    def __init__(self) -> None:
        self.durations: list[int] = []  # seconds that were asked for
        self.tokens: list[str | None] = []  # by which the Hub knows whose quota each of these is
        self.calls: list[str] = []
        self.left: int | None = None  # seconds that a visitor has left, fewer than any call wants; None: enough
        self.url = ""


@contextmanager
def lending() -> Iterator[Lender]:
    """Serve the stand-in for the time of a with block."""
    lender = Lender()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            address = urlsplit(self.path)
            lender.calls.append(address.path)
            status, answer = 200, {}
            if address.path == "/schedule":
                lender.durations.append(int(parse_qs(address.query)["durationSeconds"][0]))
                lender.tokens.append(parse_qs(address.query).get("token", [None])[0])
                status, answer = 200, LENT
                if lender.left is not None:
                    status, answer = 429, {"left": lender.left, "wait": "PT1H"}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    lender.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield lender
    finally:
        server.shutdown()
        server.server_close()


def variables(lender: Lender, folder: Path) -> dict[str, str]:
    """The environment of a Space on ZeroGPU, with everything that `spaces` writes in a folder."""
    cgroup = folder / "cgroup"
    cgroup.write_text("0::/space\n")
    return {
        "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": lender.url, "SPACE_ID": "someone/ddpo-studio",
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(cgroup), "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH")])),
    }  # fmt: skip

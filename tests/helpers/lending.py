"""A stand-in of the service from which a Space on ZeroGPU borrows its GPU, and the app served beside it.

The package `spaces` is the real one: it asks this service, forks, and carries arguments and results over. What is
simulated:

- The service. It keeps a quota for every visitor, refuses who asks for more than is left, charges what a call used
  until it was given back, and ends the process of a call that takes longer than its patience.
- The GPU. There is none, so the fork skips the two steps that would initialise CUDA and fill it, and computes on the
  CPU. `spaces` is told that it is a Blackwell, for which it asks for 1.5 times the duration.
- Time. `pace` says how many seconds of quota a second counts for, `patience` when a call is cut off, as a CPU needs
  longer than what was asked for; slices train for less of their time, and the pictures of an epoch take 2 steps.
"""

from __future__ import annotations

import base64
import json
import math
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.helpers.answering import answering
from tests.helpers.here import ROOT


def with_lent_gpu() -> None:
    """In a process that is to serve the app: have `spaces` work without a GPU, and slices be short."""
    import torch

    if not torch.version.cuda:  # a build without CUDA lacks what `spaces` looks for
        torch.version.cuda, torch._C._cuda_init, torch.cuda._is_in_bad_fork = "13.0", None, bool  # type: ignore
    import spaces.zero.config
    import spaces.zero.torch

    spaces.zero.config._read_gpu_information = lambda: "Model: NVIDIA RTX PRO 6000 Blackwell Server Edition"
    spaces.zero.config.get_config.cache_clear()
    spaces.zero.torch.init = spaces.zero.torch.move = lambda *args, **kwargs: None
    import ddpo.ui.space.slices
    from ddpo.runs import fixed_seeds

    fixed_seeds.STEPS = 2
    ddpo.ui.space.slices.KEPT_BACK = 18.0


@dataclass
class Visitor:
    """Somebody with a quota."""

    left: float = math.inf  # seconds of quota
    account: str | None = None  # "regular", "pro", or None without one
    token: str = field(default_factory=lambda: _jwt({"id": secrets.token_hex(8)}))

    @property
    def headers(self) -> dict[str, str]:
        """What Hugging Face puts into the visitor's requests."""
        return {"x-ip-token": self.token}


@dataclass
class Loan:
    """A GPU that is lent for a call."""

    visitor: Visitor
    seconds: int  # that were asked for
    task: str
    since: float
    end: threading.Timer | None = None


class Lender:
    """Records what it is asked for, and lends as long as a quota lasts."""

    def __init__(self) -> None:
        self.durations: list[int] = []  # seconds that were asked for
        self.tokens: list[str | None] = []  # by which the Hub knows whose quota each of these is
        self.calls: list[str] = []
        self.anybody = Visitor()  # whoever comes without a token
        self.visitors: dict[str, Visitor] = {}  # by token
        self.pace = 1.0  # seconds of quota to a second
        self.patience = math.inf  # seconds after which a call is cut off
        self.url = ""
        self._loans: dict[str, Loan] = {}
        self._processes: dict[str, int] = {}  # by task: a process serves one call after another
        self._lock = threading.Lock()

    def welcome(self, left: float, account: str | None = None) -> Visitor:
        """A new visitor."""
        visitor = Visitor(left, account)
        self.visitors[visitor.token] = visitor
        return visitor

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, object], dict[str, str]]:
        """Status, body and headers."""
        with self._lock:
            self.calls.append(path)
            if path == "/schedule":
                return self._schedule(query)
            if path == "/allow":
                loan = self._loans[query["allowToken"]]
                self._processes[loan.task] = int(query["pid"])
            if path == "/release":
                return (200 if self._release(query["allowToken"]) else 404), {}, {}
            return 200, {}, {}

    def _schedule(self, query: dict[str, str]) -> tuple[int, dict[str, object], dict[str, str]]:
        visitor = self.visitors.get(query.get("token", ""), self.anybody)
        seconds = int(query["durationSeconds"])
        self.durations.append(seconds)
        self.tokens.append(query.get("token"))
        headers = {"X-Authenticated": visitor.account} if visitor.account else {}
        if seconds > visitor.left:
            return 429, {"left": int(visitor.left), "wait": "PT1H"}, headers
        token = secrets.token_hex(8)
        loan = Loan(visitor, seconds, query["taskId"], time.monotonic())
        if self.patience < math.inf:
            loan.end = threading.Timer(self.patience, self._cut_off, [token])
            loan.end.daemon = True
            loan.end.start()
        self._loans[token] = loan
        return 200, {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "", "allowToken": token}, headers

    def _release(self, token: str) -> bool:
        loan = self._loans.pop(token, None)
        if loan is None:
            return False
        if loan.end is not None:
            loan.end.cancel()
        loan.visitor.left -= min(loan.seconds, self.pace * (time.monotonic() - loan.since))
        return True

    def _cut_off(self, token: str) -> None:
        with self._lock:
            loan = self._loans.get(token)
            if loan is not None and self._release(token) and loan.task in self._processes:
                with suppress(ProcessLookupError):
                    os.kill(self._processes[loan.task], signal.SIGKILL)


def _jwt(claims: dict[str, str]) -> str:
    """Of the shape in which `spaces` reads a visitor's token; nobody here checks a signature."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    return ".".join([*parts, "signature"])


@contextmanager
def lending() -> Iterator[Lender]:
    """Serve the stand-in for the time of a with block."""
    lender = Lender()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(address.query).items()}
            status, answer, headers = lender.answer(address.path, query)
            body = json.dumps(answer).encode()
            self.send_response(status)
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with answering(Handler) as port:
        lender.url = f"http://127.0.0.1:{port}"
        yield lender


def variables(lender: Lender, folder: Path) -> dict[str, str]:
    """The environment of a Space on ZeroGPU, with everything that `spaces` writes in a folder."""
    cgroup = folder / "cgroup"
    cgroup.write_text("0::/space\n")
    return {
        "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": lender.url, "SPACE_ID": "someone/ddpo-studio",
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(cgroup), "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }  # fmt: skip

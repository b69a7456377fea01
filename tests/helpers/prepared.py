"""Starts Python programs as forks of one process that has imported everything: one second instead of ten.

One such process serves a whole run of the tests, over a socket whose path stands in an environment variable. It starts
when it is first asked for, and ends with the tests. A fork has its own session, variables, folder and outputs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.helpers.here import ROOT

FOLDER = "DDPO_TEST_PREPARED"  # the variable with the folder of the socket
FRAME = 1 << 20  # bytes of a request, at most
if FOLDER not in os.environ:
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="prepared-")


# Read when packages are imported, which the forks have done already.
READ_EARLY = ("HF_", "SPACES_", "OAUTH_", "OPENID_", "OMP_", "GOMP_", "GRADIO_TEMP_DIR", "GRADIO_SHARE", "PYTHON")
# Read early as well, and read again by every fork.
OF_SIGNING_IN = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")
PATHS_OF_THE_HUB = ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH")
OF_THE_HUB = ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET", "HF_TOKEN", *PATHS_OF_THE_HUB, *OF_SIGNING_IN)
_BEFORE = dict(os.environ)


def is_as_prepared(environment: Mapping[str, str]) -> bool:
    """Whether a process with these variables may be a fork: none that is read early has changed."""
    changed = {name for name in {*environment, *_BEFORE} if environment.get(name) != _BEFORE.get(name)}
    changed -= {"HF_HUB_DISABLE_TELEMETRY", *OF_THE_HUB}  # the first is set by Gradio when it builds a page
    return not any(name.startswith(READ_EARLY) for name in changed)


class Process:
    """A fork, with what the tests and `ddpo.runs.store` use of `subprocess.Popen`."""

    def __init__(
        self,
        task: Callable[..., int],
        *arguments: Any,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        outputs: tuple[int, int],
    ) -> None:
        request = pickle.dumps((str(cwd or Path.cwd()), dict(os.environ if env is None else env), sys.path))
        call = pickle.dumps((task, arguments))  # read by the fork, which knows by then where modules are
        self._socket = _connect()
        socket.send_fds(self._socket, [pickle.dumps((request, call))], [*outputs])
        self.pid = int(self._line())
        self.returncode: int | None = None

    def _line(self) -> str:
        """The next line of the answer; "" once the other side is gone."""
        text = b""
        while not text.endswith(b"\n"):
            byte = self._socket.recv(1)
            if not byte:
                break
            text += byte
        return text.decode()

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._line() or -signal.SIGKILL)
            self._socket.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def as_python(words: Sequence[str]) -> int:
    """Do what `python WORDS...` does, for a script or `-m MODULE`."""
    if words[0] == "-m":
        sys.argv = [*words[1:]]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [*words]
        runpy.run_path(words[0], run_name="__main__")
    return 0


# The other side -------------------------------------------------------------------------------------------------------


def _connect() -> socket.socket:
    """A connection, to a server that is started where there is none yet."""
    folder = Path(os.environ[FOLDER])
    connection = socket.socket(socket.AF_UNIX)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "socket").exists():
            owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
            command = [sys.executable, "-m", "tests.helpers.prepared", str(folder / "socket"), str(owner)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
            with (folder / "log").open("ab") as log:
                server = subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
                )
            while not (folder / "socket").exists() and server.poll() is None:
                time.sleep(0.05)
    try:
        connection.connect(str(folder / "socket"))
    except OSError as error:
        raise AssertionError(f"no process to fork from: {(folder / 'log').read_text()}") from error
    return connection


def _serve(path: str, owner: int) -> None:
    """Fork for whoever asks, until the owner is gone."""
    _import_everything()
    import torch

    torch.set_num_threads(1)
    with socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
        server.bind(path + ".new")
        server.listen(64)
        selector.register(os.pidfd_open(owner), selectors.EVENT_READ)
        selector.register(server, selectors.EVENT_READ, _accept)
        Path(path + ".new").rename(path)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    return
                key.data(key, selector)


def _import_everything() -> None:
    # With a torch for CUDA, looking for a GPU in any other way would keep every fork from a simulated one.
    os.environ.update(PYTORCH_NVML_BASED_CUDA_CHECK="1", CUDA_VISIBLE_DEVICES="")
    import ddpo.runs.worker  # noqa: F401, I001, first of all, as it guards the import of torchvision
    import gradio  # noqa: F401
    import torch._dynamo  # noqa: F401, which an optimizer imports when it is made
    from diffusers import DDPMPipeline, UNet2DModel  # noqa: F401


def _accept(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
    assert isinstance(key.fileobj, socket.socket)
    connection, _ = key.fileobj.accept()
    message, handles, _, _ = socket.recv_fds(connection, FRAME, 2)
    child = os.fork()
    if child == 0:
        selector.close()
        key.fileobj.close()
        connection.close()
        _become(message, handles)
    for handle in handles:
        os.close(handle)
    connection.sendall(f"{child}\n".encode())

    def ended(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):  # nobody waits for it any more
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        connection.close()
        selector.unregister(key.fileobj)
        os.close(int(key.fd))

    selector.register(os.pidfd_open(child), selectors.EVENT_READ, ended)


def _become(message: bytes, handles: Sequence[int]) -> None:
    """In the fork: be the process that is asked for, to its end."""
    code = 1
    try:
        os.setsid()
        request, call = pickle.loads(message)
        cwd, variables, sys.path[:] = pickle.loads(request)
        for number, handle in enumerate(handles, 1):
            os.dup2(handle, number)
            os.close(handle)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(cwd)
        _read_again()
        task, arguments = pickle.loads(call)
        code = task(*arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _read_again() -> None:
    """In the fork: have huggingface_hub and Gradio go by the variables of the Hub as they are now."""
    from gradio import oauth
    from huggingface_hub import constants

    if url := os.environ.get("HF_ENDPOINT"):
        constants.ENDPOINT = url
        constants.HUGGINGFACE_CO_URL_TEMPLATE = url + "/{repo_id}/resolve/{revision}/{filename}"
    for name in PATHS_OF_THE_HUB:
        setattr(constants, name, os.environ.get(name, getattr(constants, name)))
    for name in OF_SIGNING_IN:
        setattr(oauth, name, os.environ.get(name))
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET"):
        setattr(constants, name, os.environ.get(name) == "1")


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))

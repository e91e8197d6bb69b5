"""A fork server: it imports the service and compiles the templates once for all service processes of the tests.

Both take most of a service's start. What the import makes for each service alone is made again after the fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

#: The modules that import everything a service imports.
ENTRANCES = (
    *(
        "gunicorn.app.wsgiapp",
        "flask.cli",
        "orderconfirm.cli",
        "orderconfirm.web",
        "orderconfirm.server.gunicorn_logger",
    ),
    *("orderconfirm.server.gunicorn_worker", "orderconfirm.outbox.migrations.migrator"),
)


class ServiceProcess:
    """A process of the fork server, with the methods and the return code of a `subprocess.Popen`."""

    def __init__(self, connection: socket.socket) -> None:
        """`connection` brings the number of the process, and its return code once it has ended."""
        self._results = connection.makefile("rb", buffering=0)
        self._lock = threading.Lock()
        self.pid = int(self._results.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._return_code(timeout=0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._return_code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _return_code(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._results], [], [], timeout)[0]:
                self.returncode = int(self._results.readline())
                self._results.close()
            return self.returncode


class ForkServer:
    """The server of this test process, which starts with the first service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, module: list[str], root: Path, environ: Mapping[str, str], output: BinaryIO) -> ServiceProcess:
        """Start a module with its arguments, as `python -m` in the folder `root`, in a new process group."""
        request = json.dumps({"module": module, "root": str(root), "environ": dict(environ)}).encode()
        results, theirs = socket.socketpair()
        with results, theirs, self._lock:
            self._requests = self._requests or self._start_server()
            socket.send_fds(self._requests, [request], [theirs.fileno(), output.fileno()])
            theirs.close()
            return ServiceProcess(results)

    def close(self) -> None:
        """End the server. The services go on."""
        if self._requests and self._process:
            self._requests.close()
            self._process.wait(40)

    def _start_server(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return ours


SERVER = ForkServer()


def _renew() -> None:
    """Make again what one service must not share with another: memory, a pipe and a key.

    The modules of gunicorn's hooks are imported again after it.
    """
    metrics = importlib.import_module("orderconfirm.metrics")
    metrics.counters.__init__(metrics.SLOTS)
    metrics.published.__init__(1)
    importlib.import_module("orderconfirm.settings.model")._KEY_OF_THIS_START = token_hex(32)
    _forget("orderconfirm.server")


def _forget(*names: str) -> None:
    """Forget modules, and packages with all their modules."""
    for each in [each for each in sys.modules if f"{each}.".startswith(tuple(f"{name}." for name in names))]:
        del sys.modules[each]


def _compile_templates() -> None:
    """Let each service use the built-in templates that are compiled here."""
    from renderers import shared_renderer

    from orderconfirm.mail import shop_renderers
    from orderconfirm.order.samples import SAMPLES
    from orderconfirm.settings import Settings

    settings = Settings.from_env({})
    shared_renderer(settings, settings.template_folders).render(SAMPLES["two lines"])
    shop_renderers.MailRenderer = shared_renderer  # type: ignore[assignment,misc]


def _serve(requests: socket.socket) -> None:
    sys.path.insert(0, os.getcwd())
    for name in ENTRANCES:
        importlib.import_module(name)
    _compile_templates()
    del sys.path[1]  # the folder of this file
    gc.freeze()  # the services need not traverse what they share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the keepers' return codes are not needed
    while True:
        data, files, _, _ = socket.recv_fds(requests, 1_000_000, 2)
        if not data:
            return
        if os.fork() == 0:
            requests.close()
            _keep(json.loads(data), *files)
            return
        for file in files:
            os.close(file)


def _keep(request: dict[str, Any], results: int, output: int) -> None:
    """Start the process and report its number and its return code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(results)
        _run(request, output)
        return
    os.write(results, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(results, b"%d\n" % os.waitstatus_to_exitcode(status))


def _run(request: dict[str, Any], output: int) -> None:
    os.setsid()
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    if request["root"] == os.getcwd():
        _renew()
    else:  # another version of the service; gunicorn keeps the folder in which it is imported
        _forget("gunicorn", "orderconfirm")
    os.chdir(request["root"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.path[0] = request["root"]
    name, *arguments = request["module"]
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))

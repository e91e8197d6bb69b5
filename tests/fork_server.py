"""A fork server: it imports the libraries once, and each service process of the tests is forked from it.

The imports take most of a service's start. Its own modules are imported after the fork, as in any service process.
"""

from __future__ import annotations

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
from functools import cache
from pathlib import Path
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


def start(module: list[str], root: Path, environ: Mapping[str, str], output: BinaryIO) -> ServiceProcess:
    """Start a module with its arguments, as `python -m` in the folder `root`, in a new process group."""
    return _server().start({"module": module, "root": str(root), "environ": dict(environ)}, output)


@cache
def _server() -> _ForkServer:
    """The server of this test process. It ends with it."""
    return _ForkServer()


class _ForkServer:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(self, request: dict[str, Any], output: BinaryIO) -> ServiceProcess:
        ours, theirs = socket.socketpair()
        with ours, theirs, self._lock:
            socket.send_fds(self._requests, [json.dumps(request).encode()], [theirs.fileno(), output.fileno()])
            theirs.close()
            return ServiceProcess(ours)


def _import_libraries() -> None:
    """Import a service, and forget its own modules and gunicorn's.

    Some share memory with processes that are forked later, and gunicorn keeps the current folder.
    """
    sys.path[0] = os.getcwd()
    for name in ENTRANCES:
        importlib.import_module(name)
    for name in [each for each in sys.modules if each.partition(".")[0] in ("gunicorn", "orderconfirm")]:
        del sys.modules[name]


def _serve(requests: socket.socket) -> None:
    _import_libraries()
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
    os.chdir(request["root"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.path[0] = request["root"]
    name, *arguments = request["module"]
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))

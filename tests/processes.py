"""The service as a separate process, started with gunicorn."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fork_server
import pytest
from conftest import relay_variables
from factories import make_body
from fork_server import ServiceProcess
from outboxes import provide_file
from printed_output import OUTPUT
from smtp_server import SLOWDOWN

ROOT = Path(__file__).parent.parent

#: Overrides the variables of another relay that the environment of the tests may have.
NO_OTHER_RELAY = {"MAILTRAP_API_TOKEN": "", "MAILTRAP_SANDBOX_USER": "", "MAILTRAP_SANDBOX_PASSWORD": ""}
#: Makes the service that `start` starts keep its mails in the local inbox.
NO_RELAY = {"MAIL_SERVER": ""}

#: A user who owns nothing.
NOBODY = 65534

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int, relay_port: int, root: Path = ROOT, **more: str) -> ServiceProcess:
    """Start gunicorn in a new process group, with its outbox and its log in `folder`, and its code in `root`."""
    if "DATABASE_URL" not in more:
        provide_file(folder / "outbox.db")
    own = {"PORT": str(port), "DATABASE_URL": f"sqlite:///{folder}/outbox.db"}
    variables = relay_variables(relay_port, **{**own, **more})
    return run_in_background(["gunicorn"], folder / "service.log", variables, root)


def run_in_background(
    module: list[str], log_file: Path, variables: dict[str, str], root: Path = ROOT
) -> ServiceProcess:
    """Start a module, with its arguments, in a new process group. Its output is searched for personal data."""
    with log_file.open("ab") as log:
        process = fork_server.start(module, root, {**os.environ, **NO_OTHER_RELAY, **variables}, log)
    OUTPUT.watch(process, log_file, variables)
    return process


@contextmanager
def service(folder: Path, port: int, relay_port: int, root: Path = ROOT, **more: str) -> Iterator[ServiceProcess]:
    """Run a service that responds on `port`, and stop it at the end."""
    process = start(folder, port, relay_port, root, **more)
    try:
        wait_until_healthy(port, process)
        yield process
    finally:
        stop(process)


def let_others_read(folder: Path) -> None:
    """Let a server of another user reach a test's folder, whose parents are its owner's alone."""
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if mode & 0o055 != 0o055:
            each.chmod(mode | 0o055)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to own files as different users")


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


def wait_until_healthy(port: int, process: ServiceProcess) -> None:
    def is_healthy() -> bool:
        assert process.poll() is None, "the service ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return True
        except OSError:
            return False

    wait_until(is_healthy, seconds=30)


def stop(process: ServiceProcess) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        kill(process)


def kill(process: ServiceProcess) -> None:
    """Kill the master and all its workers with SIGKILL."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(40)


def post(port: int, order_id: str, key: str = "") -> int:
    """Place an order and return the status. Raises OSError when there is no response."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/order-confirmation",
        json.dumps(make_body(order_id=order_id)).encode(),
        {"Content-Type": "application/json", **({"X-API-Key": key} if key else {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as exc:
        return exc.code


def query(folder: Path, sql: str) -> list[tuple[object, ...]]:
    """Read the outbox file directly."""
    connection = sqlite3.connect(folder / "outbox.db", timeout=10)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def log_lines(folder: Path, event: str = "") -> list[dict[str, Any]]:
    """Return the lines of a service's log, or those of one event. What is printed for a person is left out."""
    lines = (folder / "service.log").read_text(encoding="utf-8").splitlines()
    return [line for text in lines if text.startswith("{") if event in (line := json.loads(text))["event"]]


def wait_until(condition: Callable[[], T], seconds: float = 10) -> T:
    """Return the first true result of `condition`. Fails after `seconds`, or SLOWDOWN times as many if need be."""
    end = time.monotonic() + seconds * SLOWDOWN
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.01)
    raise AssertionError(f"not true within {seconds * SLOWDOWN} s")

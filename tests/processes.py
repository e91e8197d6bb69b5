"""The service as a process of its own, as `make run` starts it: to be talked to, and to be killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from conftest import relay_variables
from factories import make_body

ROOT = Path(__file__).parent.parent

#: What whoever runs the tests may have set, beside the relay that a test names.
NO_OTHER_RELAY = {"MAILTRAP_API_TOKEN": "", "MAILTRAP_SANDBOX_USER": "", "MAILTRAP_SANDBOX_PASSWORD": ""}

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int, relay_port: int, **more: str) -> subprocess.Popen[bytes]:
    """gunicorn in a process group of its own; its outbox and its log are in `folder`."""
    variables = relay_variables(relay_port, PORT=str(port), DATABASE_URL=f"sqlite:///{folder}/outbox.db", **more)
    with (folder / "service.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gunicorn"],
            cwd=ROOT,
            env={**os.environ, **NO_OTHER_RELAY, **variables},
            stderr=log,
            stdout=log,
            start_new_session=True,
        )


@contextmanager
def service(folder: Path, port: int, relay_port: int, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers on `port`, stopped at the end."""
    process = start(folder, port, relay_port, **more)
    try:
        wait_until_healthy(port, process)
        yield process
    finally:
        stop(process)


def wait_until_healthy(port: int, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert process.poll() is None, "the service ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return True
        except OSError:
            return False

    wait_until(answers, seconds=30)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9 for the master and all its workers."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def post(port: int, order_id: str) -> int:
    """Place an order; returns the status. Raises OSError when there is no answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/order-confirmation",
        json.dumps(make_body(order_id=order_id)).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def query(folder: Path, question: str) -> list[tuple[object, ...]]:
    """Ask the outbox file behind the service's back."""
    connection = sqlite3.connect(folder / "outbox.db", timeout=10)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def wait_until(condition: Callable[[], T], seconds: float = 10) -> T:
    """The first true answer of `condition`; fails when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.01)
    raise AssertionError(f"did not come about in {seconds} s")

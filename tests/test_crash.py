"""Real service processes, killed without warning: every accepted order still becomes a mail."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import relay_variables, stop_process
from factories import make_body
from smtp_server import Sink, smtp_server

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def service(folder: Path, port: int, relay_port: int, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """gunicorn as `make run` starts it, in its own process group, answering on `port`."""
    variables = relay_variables(relay_port, PORT=str(port), DATABASE_URL=f"sqlite:///{folder}/outbox.db", **more)
    command = [sys.executable, "-m", "gunicorn"]
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **variables}, stderr=log, stdout=log, start_new_session=True
        )
        try:
            wait_until_healthy(port, process)
            yield process
        finally:
            stop_process(process)


def wait_until_healthy(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the service did not come up")


def post(port: int, order_id: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/order-confirmation",
        json.dumps(make_body(order_id=order_id)).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


def kill_everything(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)


def copies(sink: Sink) -> Counter[str]:
    """How many mails arrived for each order."""
    found = (re.search(rb"order (K\d+) confirmed", mail) for mail in sink.mails)
    return Counter(match[1].decode() for match in found if match)


def test_two_hundred_accepted_orders_survive_kill_9(tmp_path: Path) -> None:
    port, relay_port = free_port(), free_port()
    names = [f"K{number}" for number in range(200)]
    with service(tmp_path, port, relay_port) as process:  # the relay is away: nothing can be sent yet
        assert {post(port, name) for name in names} == {202}
        kill_everything(process)
    with smtp_server(port=relay_port) as (sink, _), service(tmp_path, port, relay_port):
        sink.wait_for(200, seconds=40)
        assert copies(sink) == Counter(names)


def test_what_was_in_flight_at_kill_9_is_sent_right_after_the_next_start(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never greets: mails hang in flight
        with service(tmp_path, port, silent.getsockname()[1]) as process:
            for number in range(5):
                post(port, f"K{number}")
            silent.settimeout(10)
            taken = [silent.accept()[0]]
            kill_everything(process)
            taken[0].close()
    with smtp_server() as (sink, relay_port), service(tmp_path, port, relay_port):
        sink.wait_for(5, seconds=20)
        assert set(copies(sink)) == {f"K{number}" for number in range(5)}


def test_what_is_in_flight_at_sigterm_is_finished_and_the_rest_waits(tmp_path: Path) -> None:
    port = free_port()
    with smtp_server() as (sink, relay_port):
        names = [f"K{number}" for number in range(60)]
        with service(tmp_path, port, relay_port) as process:
            assert {post(port, name) for name in names} == {202}
            process.terminate()
            assert process.wait(30) == 0
        assert max(copies(sink).values(), default=0) <= 1
        with service(tmp_path, port, relay_port):
            sink.wait_for(60, seconds=30)
            assert copies(sink) == Counter(names)


def test_a_half_configured_production_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "APP_ENV": "production", "DATABASE_URL": f"sqlite:///{tmp_path}/o.db"},
        capture_output=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert b"MAILTRAP_API_TOKEN" in done.stderr and b"EMAIL_SENDER" in done.stderr
    assert b"Traceback" not in done.stderr

"""Start, reload, loss of a worker, and stop of a service, with difficult clients and a missing database."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from factories import make_body
from fork_server import ServiceProcess
from processes import free_port, log_lines, post, query, service, start, wait_until
from smtp_server import Sink, smtp_server

PATH = "/api/order-confirmation"
#: Seconds within which a service stops if no client delays it; STOP_TIMEOUT allows 25.
SOON = 10.0


def workers_of(process: ServiceProcess) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return set(map(int, found.stdout.split()))


def replace_workers(process: ServiceProcess) -> None:
    """Kill all workers with SIGKILL, and wait until the master has others."""
    before = workers_of(process)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(workers_of(process) - before) == len(before), seconds=20)


def get(port: int, path: str) -> tuple[int, Any, Any]:
    """Return status, headers and body; status 0 without a response."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.headers, json.load(response)
    except urllib.error.HTTPError as exc:
        return exc.code, exc.headers, json.load(exc)
    except OSError:
        return 0, {}, None


def connected(port: int, message: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(message)
    return connection


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


ASSET = b"GET /static/vendor/redoc-3.0.1/redoc.standalone.js HTTP/1.1\r\nHost: shop\r\n\r\n"
#: Requests of clients that send nothing, half a head or half a body, are idle, do not read, or do not close.
SLOW_CLIENTS = [
    b"",
    b"POST /api/order-confirmation HTTP/1.1\r\nContent-Le",
    b"POST /api/order-confirmation HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{",
    b"GET /health HTTP/1.1\r\nHost: shop\r\n\r\n",
    ASSET * 20,
    b"GET /health HTTP/1.0\r\n\r\n",
]


def test_no_client_delays_the_stop(tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port()) as process, ExitStack() as connections:
        for message in SLOW_CLIENTS:
            connections.enter_context(connected(port, message))
        wait_for_outcome(port, 1)  # by now the clients above are connected
        began = time.monotonic()
        process.terminate()
        assert process.wait(30) == 0
        assert time.monotonic() - began < SOON


def wait_for_outcome(port: int, seconds: int) -> bytes:
    """Place an order and wait up to `seconds` for its mail."""
    with connected(port, waiting_order(seconds)) as connection:
        return connection.recv(65536)


def waiting_order(seconds: int) -> bytes:
    body = json.dumps(make_body()).encode()
    headers = f"Prefer: wait={seconds}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"POST {PATH} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n\r\n".encode() + body


def test_a_stop_finishes_running_requests_and_refuses_new_clients(tmp_path: Path) -> None:
    sink, port = Sink(), free_port()
    sink.held_at = "DATA"
    with smtp_server(sink=sink) as (_, relay_port), service(tmp_path, port, relay_port) as process:
        with (
            connected(port, waiting_order(10)) as waiting,
            connected(port, b"") as silent,
        ):
            assert sink.reached.wait(40)
            process.terminate()
            wait_until(lambda: is_refused(port), seconds=5)
            assert silent.recv(1) == b""
            sink.held_at = None
            assert waiting.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert process.wait(SOON) == 0
    assert query(tmp_path, "SELECT state FROM outbox") == [("sent",)]


def test_a_first_start_without_a_database_fails_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    process = start(tmp_path, free_port(), free_port())
    assert process.wait(30) == 4
    log = (tmp_path / "service.log").read_text()
    assert log.count("orderconfirm cannot start: the database of DATABASE_URL (sqlite ") == 1
    assert "Traceback" not in log


def test_killed_workers_are_replaced(tmp_path: Path) -> None:
    port = free_port()
    with smtp_server() as (sink, relay_port), service(tmp_path, port, relay_port) as process:
        assert post(port, "K0") == 202
        replace_workers(process)
        assert wait_until(lambda: get(port, "/ready")[0] == 200, seconds=20)
        assert post(port, "K1") == 202
        sink.wait_for_orders(2, seconds=20)


def lose_workers(process: ServiceProcess) -> None:
    replace_workers(process)


def reload(process: ServiceProcess) -> None:
    before = workers_of(process)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: (now := workers_of(process)) and not now & before, seconds=20)


@pytest.mark.parametrize("event", [lose_workers, reload])
def test_a_new_worker_waits_for_a_missing_database(tmp_path: Path, event: Any) -> None:
    port, folder, away = free_port(), tmp_path / "data", tmp_path / "away"
    folder.mkdir()
    with smtp_server() as (sink, relay_port), service(folder, port, relay_port) as process:
        assert post(port, "K0") == 202
        wait_until(lambda: get(port, f"{PATH}/K0")[2]["state"] == "sent")
        log = away / "service.log"
        folder.rename(away)
        folder.write_bytes(b"")  # a file in its place, so that the folder cannot be created
        event(process)
        wait_until(lambda: get(port, "/health")[0] == 200, seconds=20)
        status, headers, ready = get(port, "/ready")
        assert (status, ready) == (503, {"status": "unavailable", "reason": "the outbox is not open"})
        assert "the outbox cannot be opened; trying again" in log.read_text()
        assert post(port, "K1") == 503
        for path in (f"{PATH}/K0", f"{PATH}s"):
            status, headers, body = get(port, path)
            assert (status, headers["Retry-After"]) == (503, "10")
            assert body["type"] == "urn:orderconfirm:problem:outbox-unavailable"
        folder.unlink()
        away.rename(folder)
        assert wait_until(lambda: get(port, "/ready")[0] == 200, seconds=20)
        assert get(port, f"{PATH}/K0")[2]["state"] == "sent"
        assert post(port, "K1") == 202
        sink.wait_for_orders(2, seconds=20)


def test_a_stop_ends_the_wait_for_a_database(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "data"
    folder.mkdir()
    with service(folder, port, free_port()) as process:
        folder.rename(tmp_path / "away")
        folder.write_bytes(b"")
        replace_workers(process)
        wait_until(lambda: get(port, "/ready")[0] == 503, seconds=20)
        process.terminate()
        assert process.wait(SOON) == 0


TEMPLATE = "order_confirmation.subject.txt"


@pytest.fixture
def custom_files(tmp_path: Path) -> dict[str, str]:
    """Settings with a custom template and a file of API keys."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / TEMPLATE).write_text("Order {{ order.number }}")
    (tmp_path / "keys").write_text("")
    return {"TEMPLATES_DIR": str(tmp_path / "templates"), "API_KEYS_FILE": str(tmp_path / "keys")}


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [(f"templates/{TEMPLATE}", "{{", TEMPLATE), ("keys", "nonsense", "API_KEYS")],
)
def test_a_reload_that_could_not_start_is_refused(
    tmp_path: Path, custom_files: dict[str, str], file: str, content: str, name: str
) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), **custom_files) as process:
        before = workers_of(process)
        valid = (tmp_path / file).read_text()
        (tmp_path / file).write_text(content)
        process.send_signal(signal.SIGHUP)
        [line] = wait_until(lambda: log_lines(tmp_path, "not reloaded"), seconds=20)
        assert name in line["reason"]
        assert workers_of(process) == before
        assert post(port, "K0") == 202
        (tmp_path / file).write_text(valid)
        reload(process)
        wait_until(lambda: get(port, "/ready")[0] == 200, seconds=20)


def test_a_worker_that_cannot_load_is_replaced_until_it_can(tmp_path: Path, custom_files: dict[str, str]) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), **custom_files) as process:
        valid = (tmp_path / "templates" / TEMPLATE).read_text()
        (tmp_path / "templates" / TEMPLATE).write_text("{{")
        replace_workers(process)
        wait_until(lambda: "a worker cannot start" in (tmp_path / "service.log").read_text(), seconds=20)
        (tmp_path / "templates" / TEMPLATE).write_text(valid)
        wait_until(lambda: get(port, "/ready")[0] == 200, seconds=20)
        assert process.poll() is None
